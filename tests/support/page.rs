//! The data of a page that heaptide wrote.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::io::Read as _;

/// Where the data stand in a page.
pub fn packed(html: &str) -> &str {
    let start = html.find("id=\"data\">").expect("the page has data") + "id=\"data\">".len();
    &html[start..start + html[start..].find("</script>").expect("they end")]
}

/// The data, see `crates/report/src/html/data.rs`.
pub fn data(html: &str) -> serde_json::Value {
    serde_json::from_str(&json(html)).expect("JSON")
}

/// The whole page as text, with its data as they are when they are unpacked.
pub fn text(html: &str) -> String {
    html.replace(packed(html), &json(html))
}

fn json(html: &str) -> String {
    let bytes = STANDARD.decode(packed(html)).expect("Base64");
    let mut json = String::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut json).expect("gzip");
    json
}
