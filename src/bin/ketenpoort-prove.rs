fn main() -> std::process::ExitCode {
    ketenpoort::cli::prove::main().into()
}
