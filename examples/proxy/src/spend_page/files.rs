//! The files of the page. The program contains them, and they load nothing from other servers.
use std::borrow::Cow;

/// The choice of the ledger in the page.
const LEDGER_OPTION: &str = "            <option value=\"ledger\">Ledger of proxy keys</option>\n";

/// The page or a file that it loads.
pub struct PageFile {
    pub content_type: &'static str,
    pub content: Cow<'static, str>,
}

/// Returns the file at a path, or `None` if there is none. Without a ledger, the page does not offer it.
pub fn file(path: &str, has_ledger: bool) -> Option<PageFile> {
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
    let is_page = path == "/spend";
    let content =
        if is_page && !has_ledger { content.replace(LEDGER_OPTION, "").into() } else { content.into() };
    Some(PageFile { content_type, content })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_offers_the_ledger_only_if_there_is_one() {
        let page = |has_ledger| file("/spend", has_ledger).unwrap().content;
        assert!(page(true).contains(LEDGER_OPTION));
        assert!(!page(false).contains("value=\"ledger\""));
    }
}
