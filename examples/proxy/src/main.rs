//! A reverse proxy that inserts `api_key_name` beside every `api_key_id`. See the library of this package.

fn main() -> std::process::ExitCode {
    api_key_name_proxy::main()
}
