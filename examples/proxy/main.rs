//! A reverse proxy that puts `api_key_name` beside every `api_key_id`: the crate's layer between
//! tower-http's decompression and compression, on hyper, with nothing between them but `app.rs`.
//!
//! ```text
//! cargo run --release --example proxy -- --demo
//! cargo run --release --example proxy -- --names names.json
//! ```
#[path = "app.rs"]
mod app;

fn main() -> std::process::ExitCode {
    app::main()
}
