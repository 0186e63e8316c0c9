//! The program `api-key-name-proxy`.

fn main() -> std::process::ExitCode {
    api_key_name_proxy::command::main()
}
