/// Most of what the gateway does is to make small documents out of small documents.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    ketenpoort::cli::main().into()
}
