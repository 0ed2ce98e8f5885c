//! An allocator for short programs: dlmalloc behind a lock that costs one instruction while nobody else wants it.
//!
//! Its own lock is libc's mutex, whose taking and release cost a run of `trun` as much as all allocations.
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};
use dlmalloc::Dlmalloc;

/// For `#[global_allocator]`.
pub struct Heap {
    taken: AtomicBool,
    heap: UnsafeCell<Dlmalloc>,
}

// SAFETY: the heap is reached by whoever holds `taken` only.
unsafe impl Sync for Heap {}

impl Heap {
    /// Empty.
    #[allow(clippy::new_without_default, reason = "a static's value must be const")]
    pub const fn new() -> Heap {
        Heap {
            taken: AtomicBool::new(false),
            heap: UnsafeCell::new(Dlmalloc::new()),
        }
    }

    #[inline(always)]
    fn with<T>(&self, work: impl FnOnce(&mut Dlmalloc) -> T) -> T {
        while self.taken.swap(true, Ordering::Acquire) {
            // Whoever holds it may have been put aside by the scheduler.
            crate::process::give_way();
        }
        // SAFETY: the swap lets one in at a time, and nothing in here allocates again.
        let done = work(unsafe { &mut *self.heap.get() });
        self.taken.store(false, Ordering::Release);
        done
    }
}

// SAFETY: dlmalloc is an allocator; the lock keeps its state whole.
unsafe impl GlobalAlloc for Heap {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout isn't empty.
        self.with(|heap| unsafe { heap.malloc(layout.size(), layout.align()) })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's layout isn't empty.
        self.with(|heap| unsafe { heap.calloc(layout.size(), layout.align()) })
    }

    #[inline]
    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller has this from us, with this layout.
        self.with(|heap| unsafe { heap.free(place, layout.size(), layout.align()) });
    }

    #[inline]
    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has this from us, with this layout.
        self.with(|heap| unsafe { heap.realloc(place, layout.size(), layout.align(), size) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_share_it() {
        static HEAP: Heap = Heap::new();
        let work = |seed: usize| {
            for round in 0..2000 {
                let layout =
                    Layout::from_size_align(1 + (seed * 37 + round * 61) % 3000, 8).unwrap();
                // SAFETY: allocated, written within its size, grown and freed with the layouts that belong to it.
                unsafe {
                    let place = HEAP.alloc(layout);
                    place.write_bytes(seed as u8, layout.size());
                    let place = HEAP.realloc(place, layout, layout.size() * 2);
                    assert_eq!(place.add(layout.size() - 1).read(), seed as u8);
                    let grown = Layout::from_size_align(layout.size() * 2, 8).unwrap();
                    HEAP.dealloc(place, grown);
                }
            }
        };
        std::thread::scope(|scope| {
            for seed in 0..4 {
                scope.spawn(move || work(seed));
            }
        });
    }
}
