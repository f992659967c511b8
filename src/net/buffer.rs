//! Bytes on their way: a queue over one allocation, the thread's free list of them, and the thread's read scratch.
//! A connection holds memory only while it holds unread or unwritten bytes. Musl's allocator takes a millisecond for a
//! fresh 2 MB buffer, so large ones are kept for a while; initialised memory stays initialised, so nothing is zeroed twice.

use std::cell::RefCell;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Up to this size a freed buffer goes to the small list.
const SMALL_BYTES_MAX: usize = 16 * 1024;
/// A freed buffer larger than this goes back to the allocator.
const LARGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Small buffers kept, in bytes of all of them: a busy thread has five for each request under way.
const SMALL_KEPT_BYTES_MAX: usize = 1024 * 1024;
/// Large buffers kept, in bytes of all of them: eight bodies of 2 MB under way at once on a thread.
const LARGE_KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Of the small buffers kept, so many of the latest are looked at for one that is large enough.
const LOOKED_AT_MAX: usize = 16;
/// A large buffer is given where a small one would do, but none was kept, if it is no more than so many times as large.
const LOOSE_FACTOR: usize = 4;
/// The first allocation: a request or answer of 1 KB fits with its head.
const FIRST_BYTES: usize = 2048;

/// Room before the read area of the scratch: the head of an answer and a chunk's size line can be put in front of what was
/// read, so that all of it is written at once and only the head was copied.
pub const SCRATCH_BEFORE: usize = 2048;
/// Room behind it: a chunk's end and the last chunk.
pub const SCRATCH_AFTER: usize = 16;
/// How much one read takes at the most.
pub const SCRATCH_BYTES: usize = 64 * 1024;
const SCRATCH_ALL: usize = SCRATCH_BEFORE + SCRATCH_BYTES + SCRATCH_AFTER;
/// The least room before bytes that are lent: a chunk's size line.
const LENT_BEFORE_MIN: usize = 32;

/// What a thread keeps for reuse.
#[derive(Default)]
struct Free {
    small: [Shelf; 2],
    large: [Shelf; 2],
    large_used: bool,
}

/// Buffers are initialised as far as they go; vectors are not, and to write zeros into one each time that it is put back
/// would cost more than all else about it. So each kind has shelves of its own.
#[derive(Clone, Copy)]
enum Kind {
    Buffer,
    Vector,
}

/// Buffers of one kind, the latest last.
#[derive(Default)]
struct Shelf {
    kept: Vec<Vec<u8>>,
    bytes: usize,
}

impl Shelf {
    fn put(&mut self, bytes: Vec<u8>) {
        self.bytes += bytes.capacity();
        self.kept.push(bytes);
    }

    fn take(&mut self, at: usize) -> Vec<u8> {
        let found = self.kept.swap_remove(at);
        self.bytes -= found.capacity();
        found
    }

    /// One of the latest that is large enough.
    fn latest(&mut self, need: usize) -> Option<Vec<u8>> {
        let latest = self.kept.len().saturating_sub(LOOKED_AT_MAX);
        let mut kept = self.kept[latest..].iter();
        let fitting = kept.rposition(|bytes| bytes.capacity() >= need)?;
        Some(self.take(latest + fitting))
    }

    /// The smallest that is large enough, and no larger than `most`.
    fn smallest(&mut self, need: usize, most: usize) -> Option<Vec<u8>> {
        let fitting = self.kept.iter().enumerate();
        let fitting = fitting.filter(|(_, bytes)| (need..=most).contains(&bytes.capacity()));
        let (fitting, _) = fitting.min_by_key(|(_, bytes)| bytes.capacity())?;
        Some(self.take(fitting))
    }
}

thread_local! {
    static FREE: RefCell<Free> = RefCell::default();
    /// What [`Buffer::append_with`] is written into.
    static WRITTEN: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH_ALL]);
}

/// Lends the thread's scratch for the length of a call, never over an await.
pub fn with_scratch<T>(f: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with(|scratch| f(&mut scratch.borrow_mut()))
}

/// Gives large buffers that nobody used since the last call back to the system. Called every few seconds.
pub fn release_idle() {
    FREE.with(|free| {
        let mut free = free.borrow_mut();
        if !free.large_used {
            free.large = Default::default();
        }
        free.large_used = false;
        for shelf in &mut free.small {
            let half = shelf.kept.len() / 2;
            shelf.kept.truncate(half);
            shelf.bytes = shelf.kept.iter().map(Vec::capacity).sum();
        }
    });
}

/// A queue of bytes. An empty one owns nothing until something is put in; a dropped one goes to the thread's free list.
#[derive(Default)]
pub struct Buffer {
    /// Its whole length is initialised; `start..end` is what it holds.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// How much it will hold in the end, as far as that was announced.
    expected: usize,
}

impl Buffer {
    /// An empty queue without an allocation.
    pub const fn new() -> Buffer {
        Buffer::expecting(0)
    }

    /// An empty queue that may come to hold so much: a kept buffer of that size is used if there is one, but nothing is
    /// allocated for what was only announced.
    pub const fn expecting(bytes: usize) -> Buffer {
        Buffer {
            bytes: Vec::new(),
            start: 0,
            end: 0,
            expected: bytes,
        }
    }

    /// What it holds.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// How many bytes it holds.
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// How much memory it owns.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Room for at least `min` bytes more; tell how many were put there with [`Buffer::filled`].
    pub fn spare(&mut self, min: usize) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
        if self.bytes.len() - self.end < min {
            if self.start > 0 && self.start >= self.len() {
                self.bytes.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.len());
            }
            if self.bytes.len() - self.end < min {
                self.grow(self.end + min);
            }
        }
        &mut self.bytes[self.end..]
    }

    fn grow(&mut self, need: usize) {
        if self.bytes.is_empty() {
            self.bytes = recycled(need.max(self.expected), Kind::Buffer);
        }
        if self.bytes.len() < need {
            let target = need
                .max(FIRST_BYTES)
                .max(self.bytes.len() + self.bytes.len() / 2);
            let kept = match target {
                0..=SMALL_BYTES_MAX => Vec::new(),
                _ => recycled(target, Kind::Buffer),
            };
            // Fresh zeroed pages cost nothing until they are touched; growing in place would write zeros into all of them.
            let mut larger = match kept.len() < target {
                true => vec![0; target],
                false => kept,
            };
            larger[..self.end].copy_from_slice(&self.bytes[..self.end]);
            let left = std::mem::replace(&mut self.bytes, larger);
            if left.capacity() <= SMALL_BYTES_MAX {
                recycle(left);
            }
        }
    }

    /// The first `n` bytes of the spare room now hold data.
    pub fn filled(&mut self, n: usize) {
        self.end = (self.end + n).min(self.bytes.len());
    }

    /// Appends.
    pub fn extend(&mut self, data: &[u8]) {
        if !data.is_empty() {
            self.spare(data.len())[..data.len()].copy_from_slice(data);
            self.filled(data.len());
        }
    }

    /// Appends what `write` puts into a vector of the thread's: a head is copied in less time than the room behind it in a
    /// vector of our own would take to be initialised again.
    pub fn append_with(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut written = WRITTEN.take();
        written.clear();
        write(&mut written);
        self.extend(&written);
        if written.capacity() <= SMALL_BYTES_MAX {
            WRITTEN.set(written);
        }
    }

    /// Appends what `read` puts into the thread's scratch. An empty queue takes the scratch itself, which costs no copy but holds
    /// all of it: see [`Buffer::settle`].
    pub fn read_with(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let room = SCRATCH_BEFORE..SCRATCH_ALL - SCRATCH_AFTER;
            let read = ready!(read(&mut scratch[room.clone()]))?;
            if !self.is_empty() {
                self.extend(&scratch[room][..read]);
            } else if read > 0 {
                let mut other = recycled(SCRATCH_ALL, Kind::Buffer);
                if other.len() != SCRATCH_ALL {
                    recycle(std::mem::replace(&mut other, vec![0; SCRATCH_ALL]));
                }
                recycle(std::mem::replace(
                    &mut self.bytes,
                    std::mem::replace(scratch, other),
                ));
                (self.start, self.end) = (room.start, room.start + read);
            }
            Poll::Ready(Ok(read))
        })
    }

    /// It is going to wait: what it holds moves to an allocation of about its size.
    pub fn settle(&mut self) {
        if self.capacity() > SMALL_BYTES_MAX && self.capacity() > 2 * self.len() {
            let mut fitting = Buffer::new();
            fitting.extend(self.data());
            *self = fitting;
        }
    }

    /// The memory, and where in it lies what it holds, with room around for what a chunk needs.
    pub fn lend(&mut self) -> (&mut [u8], Range<usize>) {
        if self.start < LENT_BEFORE_MIN || self.bytes.len() - self.end < SCRATCH_AFTER {
            let mut roomy = Buffer::new();
            let place = SCRATCH_BEFORE..SCRATCH_BEFORE + self.len();
            let memory = roomy.spare(place.end + SCRATCH_AFTER);
            memory[place.clone()].copy_from_slice(self.data());
            (roomy.start, roomy.end) = (place.start, place.end);
            *self = roomy;
        }
        (&mut self.bytes, self.start..self.end)
    }

    /// What a vector holds; its allocation is kept for reuse afterwards.
    pub fn of(bytes: Vec<u8>) -> Buffer {
        Buffer {
            start: 0,
            end: bytes.len(),
            bytes,
            expected: 0,
        }
    }

    /// An empty vector with room for about that much, from what the thread keeps; [`Buffer::of`] gives it back.
    pub fn vector(bytes: usize) -> Vec<u8> {
        let mut found = recycled(bytes.max(FIRST_BYTES), Kind::Vector);
        found.reserve(bytes.max(FIRST_BYTES));
        found
    }

    /// The first `n` bytes are done with.
    pub fn consume(&mut self, n: usize) {
        self.start = (self.start + n).min(self.end);
        if self.start == self.end {
            self.release();
        }
    }

    /// Holds nothing from now on, and owns nothing.
    pub fn release(&mut self) {
        (self.start, self.end) = (0, 0);
        recycle(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        recycle(std::mem::take(&mut self.bytes));
    }
}

/// One that was kept and is large enough; empty if there is none.
fn recycled(need: usize, kind: Kind) -> Vec<u8> {
    let found = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        let mut most = usize::MAX;
        if need <= SMALL_BYTES_MAX {
            if let Some(found) = free.small[kind as usize].latest(need) {
                return Some(found);
            }
            most = need * LOOSE_FACTOR; // it may be held for long
        }
        free.large_used = true;
        free.large[kind as usize].smallest(need, most)
    });
    found.ok().flatten().unwrap_or_default()
}

fn recycle(mut bytes: Vec<u8>) {
    let capacity = bytes.capacity();
    if capacity == 0 || capacity > LARGE_BYTES_MAX {
        return;
    }
    let kind = if bytes.len() == capacity {
        Kind::Buffer
    } else {
        bytes.clear();
        Kind::Vector
    };
    // try_with: a buffer may outlive the thread's list when the thread ends.
    let _ = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        let (shelves, most) = if capacity <= SMALL_BYTES_MAX {
            (&mut free.small, SMALL_KEPT_BYTES_MAX)
        } else {
            (&mut free.large, LARGE_KEPT_BYTES_MAX)
        };
        if shelves.iter().map(|shelf| shelf.bytes).sum::<usize>() + capacity <= most {
            shelves[kind as usize].put(bytes);
        }
    });
}

/// All bodies and collected answers together may hold this much; whoever wants more waits.
pub struct Budget {
    room: Semaphore,
    total_kb: std::sync::atomic::AtomicUsize,
}

/// A share of a [`Budget`], given back when dropped.
#[derive(Default)]
pub struct Share {
    budget: Option<Arc<Budget>>,
    kb: u32,
}

/// How long a body waits for room before it is refused.
const ROOM_WAIT: Duration = Duration::from_secs(5);

impl Budget {
    /// A budget of that many bytes.
    pub fn new(bytes: u64) -> Budget {
        let kb = usize::try_from(bytes / 1024)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        Budget {
            room: Semaphore::new(kb),
            total_kb: kb.into(),
        }
    }

    /// Changes the size while shares are out.
    pub fn resize(&self, bytes: u64) {
        use std::sync::atomic::Ordering::SeqCst;
        let kb = usize::try_from(bytes / 1024)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        let before = self.total_kb.swap(kb, SeqCst);
        if kb > before {
            self.room.add_permits(kb - before);
        } else {
            let taken = self.room.forget_permits(before - kb);
            self.total_kb.store(before - taken, SeqCst);
        }
    }

    /// How many bytes are out.
    pub fn used_bytes(&self) -> u64 {
        let total = self.total_kb.load(std::sync::atomic::Ordering::Relaxed);
        total.saturating_sub(self.room.available_permits()) as u64 * 1024
    }

    /// Makes `share` cover `bytes`. False: no room came free within 5 s, or there can never be enough.
    pub async fn cover(self: &Arc<Budget>, share: &mut Share, bytes: u64) -> bool {
        let want = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let Some(more) = want.checked_sub(share.kb).filter(|&more| more > 0) else {
            return true;
        };
        let permit = match self.room.try_acquire_many(more) {
            Ok(permit) => Some(permit),
            Err(_) if more as usize > self.total_kb.load(std::sync::atomic::Ordering::Relaxed) => {
                None
            }
            Err(_) => tokio::time::timeout(ROOM_WAIT, self.room.acquire_many(more))
                .await
                .ok()
                .and_then(Result::ok),
        };
        let taken = permit.map(SemaphorePermit::forget).is_some();
        if taken {
            share.budget = Some(self.clone());
            share.kb = want;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.room.add_permits(self.kb as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_gives_back_what_was_put_in() {
        let mut queue = Buffer::new();
        let mut expected = Vec::new();
        for round in 0..200_usize {
            let data = vec![round as u8; round * 7 % 301];
            queue.extend(&data);
            expected.extend_from_slice(&data);
            let take = round * 5 % 211;
            let take = take.min(queue.len());
            assert_eq!(&queue.data()[..take], &expected[..take]);
            queue.consume(take);
            expected.drain(..take);
        }
        queue.append_with(|out| out.extend_from_slice(b"tail"));
        expected.extend_from_slice(b"tail");
        assert_eq!(queue.data(), expected);
    }

    #[test]
    fn an_empty_queue_owns_nothing() {
        let mut queue = Buffer::new();
        queue.extend(b"some");
        queue.consume(4);
        assert_eq!(queue.capacity(), 0);
    }

    #[test]
    fn what_was_kept_is_given_only_where_it_is_large_enough() {
        let kept = |length: usize, capacity: usize| {
            let mut bytes = Vec::with_capacity(capacity);
            bytes.resize(length, b'x');
            let kept = bytes.capacity();
            drop(Buffer::of(bytes));
            kept
        };
        let large = kept(100, 9_000);
        kept(100, FIRST_BYTES);
        kept(100, 3_000);
        assert_eq!(Buffer::vector(8_000).capacity(), large);
        assert!(Buffer::vector(8_000).capacity() >= 8_000);
        assert!(Buffer::vector(1).is_empty() && Buffer::vector(1).capacity() >= FIRST_BYTES);
        let huge = kept(100, 200_000);
        let modest = kept(100, 30_000);
        assert!(Buffer::vector(5_000).capacity() < modest, "held for long");
        assert_eq!(Buffer::vector(10_000).capacity(), modest);
        assert_eq!(Buffer::vector(100_000).capacity(), huge);
        // A vector that was put back is no buffer: its bytes are another request's.
        kept(12_000, 12_001);
        let mut queue = Buffer::new();
        assert!(queue.spare(11_000).iter().all(|&byte| byte == 0));
    }

    /// What `read` is given holds `data`.
    fn reads(queue: &mut Buffer, data: &[u8]) {
        let read = queue.read_with(|room| {
            assert_eq!(room.len(), SCRATCH_BYTES);
            room[..data.len()].copy_from_slice(data);
            Poll::Ready(Ok(data.len()))
        });
        assert!(matches!(read, Poll::Ready(Ok(n)) if n == data.len()));
    }

    #[test]
    fn what_is_read_stays_where_it_is_until_it_has_to_wait() {
        let mut queue = Buffer::new();
        assert!(queue.read_with(|_| Poll::Pending).is_pending());
        reads(&mut queue, b"");
        assert_eq!(queue.capacity(), 0);
        let mut expected = Vec::new();
        for round in 0..50_u8 {
            let data = vec![round; 1 + usize::from(round) * 83];
            reads(&mut queue, &data);
            expected.extend_from_slice(&data);
            assert_eq!(queue.data(), expected);
            if round % 7 == 6 {
                let (before, held) = (queue.capacity(), queue.len());
                queue.settle();
                let most = SMALL_BYTES_MAX.max(2 * held + FIRST_BYTES);
                assert!(queue.capacity() <= before.min(most));
                assert_eq!(queue.data(), expected);
            }
            if round % 11 == 10 {
                queue.consume(queue.len());
                assert_eq!(queue.capacity(), 0);
                expected.clear();
            }
        }
        // The scratch is another each time, and always as large.
        let (mut one, mut other) = (Buffer::new(), Buffer::new());
        reads(&mut one, b"one");
        reads(&mut other, b"other");
        with_scratch(|scratch| assert_eq!(scratch.len(), SCRATCH_ALL));
        assert_eq!((one.data(), other.data()), (&b"one"[..], &b"other"[..]));
    }

    #[test]
    fn lent_memory_has_room_around_what_it_holds() {
        let lent = |queue: &mut Buffer, expected: &[u8]| {
            let (memory, place) = queue.lend();
            assert!(place.start >= LENT_BEFORE_MIN);
            assert!(memory.len() - place.end >= SCRATCH_AFTER);
            assert_eq!(&memory[place], expected);
        };
        for length in [1, 100, FIRST_BYTES - 1, FIRST_BYTES, 20_000] {
            let data = vec![b'x'; length];
            let mut queue = Buffer::new();
            queue.extend(&data);
            lent(&mut queue, &data);
            let mut queue = Buffer::new();
            reads(&mut queue, &data);
            let memory = queue.data().as_ptr();
            lent(&mut queue, &data);
            assert_eq!(queue.data().as_ptr(), memory, "nothing was moved");
            queue.consume(length / 2);
            lent(&mut queue, &data[length / 2..]);
            let mut queue = Buffer::of(data.clone());
            lent(&mut queue, &data);
        }
    }

    #[test]
    fn a_share_comes_back_when_dropped_and_too_much_is_refused() {
        crate::net::block_on(async {
            let budget = Arc::new(Budget::new(10 * 1024));
            let mut share = Share::default();
            assert!(budget.cover(&mut share, 4000).await);
            assert!(budget.cover(&mut share, 9000).await);
            assert_eq!(budget.used_bytes(), 9 * 1024);
            assert!(!budget.cover(&mut Share::default(), 11 * 1024).await);
            drop(share);
            assert_eq!(budget.used_bytes(), 0);
            budget.resize(2048);
            assert!(!budget.cover(&mut Share::default(), 3 * 1024).await);
        });
    }
}
