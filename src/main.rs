fn main() -> std::process::ExitCode {
    r5flow::cli::main()
}
