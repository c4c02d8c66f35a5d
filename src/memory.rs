//! Memory that was needed once.

/// Gives the operating system back what this thread has freed. The allocator keeps freed memory for
/// the next use, which on the way up never comes: describing every route takes some 10 MB for a moment.
/// For use after that; it costs about a millisecond.
#[expect(
    unsafe_code,
    reason = "the allocator has no safe form of it; it only looks at the calling thread's free pages"
)]
pub fn give_back() {
    // SAFETY: it may be called at any time from any thread.
    unsafe { libmimalloc_sys::mi_collect(true) }
}
