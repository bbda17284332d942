/// Most of what the gateway does is to make small documents out of small documents.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // The allocator asks for pages of 2 MiB, of which a little use makes all resident. Where that cannot be refused, it
    // only takes more memory.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    ketenpoort::cli::main().into()
}
