// Reads JSON values, one a line, from the body of a response.

// Yields each value. A last line without a line break is incomplete, and is left out.
export async function* readLines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  // The pieces of a line, which may have 100 MB.
  let pieces = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) {
      break;
    }
    const parts = value.split("\n");
    pieces.push(parts[0]);
    for (const part of parts.slice(1)) {
      yield JSON.parse(pieces.join(""));
      pieces = [part];
    }
  }
}
