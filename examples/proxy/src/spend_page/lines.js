// Reads JSON values, one a line, from the body of a response.

// An error with a text for the user.
export class RunError extends Error {}

export const CONNECTION_FAILED = "The proxy cannot be reached, the connection was lost, or a server in front of the "
  + "proxy requires a login. Check that the proxy runs, reload the page, and run the report again.";

// Yields each value. A last line without a line break is incomplete, and is left out.
// Throws if the connection is lost, or if a line is not JSON or longer than a string of the browser.
export async function* readLines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    // The pieces of a line, which may have 100 MB.
    let pieces = [];
    for (;;) {
      const { done, value } = await readChunk(reader);
      if (done) {
        return;
      }
      const parts = value.split("\n");
      pieces.push(parts[0]);
      for (const part of parts.slice(1)) {
        yield JSON.parse(pieces.join(""));
        pieces = [part];
      }
    }
  } finally {
    // Ends a request whose other lines are not read. A lost connection has no request to end.
    await reader.cancel().catch(() => {});
  }
}

// Reads a chunk. The browsers' own texts for a lost connection differ, and are not shown.
function readChunk(reader) {
  return reader.read().catch(() => {
    throw new RunError(CONNECTION_FAILED);
  });
}
