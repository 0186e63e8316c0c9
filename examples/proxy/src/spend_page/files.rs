//! The files of the page. The program contains them, and they load nothing from other servers.

/// The page or a file that it loads.
pub struct PageFile {
    pub content_type: &'static str,
    pub content: &'static str,
}

/// Returns the file at a path, or `None` if there is none.
pub fn file(path: &str) -> Option<PageFile> {
    const HTML: &str = "text/html; charset=utf-8";
    const CSS: &str = "text/css; charset=utf-8";
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    const SVG: &str = "image/svg+xml";
    let (content_type, content) = match path {
        "/spend" => (HTML, include_str!("page.html")),
        "/spend.css" => (CSS, include_str!("page.css")),
        "/spend.svg" => (SVG, include_str!("icon.svg")),
        "/spend.js" => (SCRIPT, include_str!("page.js")),
        "/spend-chart.js" => (SCRIPT, include_str!("chart.js")),
        "/spend-format.js" => (SCRIPT, include_str!("format.js")),
        "/spend-lines.js" => (SCRIPT, include_str!("lines.js")),
        "/spend-table.js" => (SCRIPT, include_str!("table.js")),
        _ => return None,
    };
    Some(PageFile { content_type, content })
}
