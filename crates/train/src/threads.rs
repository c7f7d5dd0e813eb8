//! The own threads of a network: few, started once, asleep between trials.
//!
//! A network with one thread has no pool at all and runs in the caller's thread; that is the usual
//! case, one trial per core. With more, the caller works too and the others wait for it: first
//! spinning, because the next piece of work usually comes within microseconds, then parked, because
//! the machine is shared. What is split, and in which order partial sums are added, depends only on
//! the number of threads, never on their timing.

use std::{
    any::Any,
    num::{NonZeroU8, NonZeroUsize},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle, Thread},
};

use serde::{Deserialize, Serialize};

/// How many threads one network works with, the caller's included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Threads(NonZeroU8);

impl Threads {
    /// The caller's thread alone: the best use of a machine that runs one trial per core.
    pub const ONE: Threads = Threads(NonZeroU8::MIN);

    /// So many threads.
    pub fn new(count: NonZeroU8) -> Threads {
        Threads(count)
    }

    /// How many.
    pub fn get(self) -> usize {
        usize::from(self.0.get())
    }
}

impl From<Threads> for NonZeroUsize {
    fn from(threads: Threads) -> NonZeroUsize {
        threads.0.into()
    }
}

/// Rounds a waiting thread spins before it sleeps: some 50 µs, longer than a gap between steps.
const SPINS: u32 = 2_000;

/// Work for every member: called with the member's number.
type Work<'a> = dyn Fn(usize) + Sync + 'a;

/// What the members share.
struct Board {
    /// Counts the pieces of work given out; a change wakes the members.
    round: AtomicUsize,
    /// Members that have not finished the present piece.
    unfinished: AtomicUsize,
    /// Address of the present piece of work; valid while `unfinished` is above 0.
    work: Mutex<Option<WorkPointer>>,
    /// What a member panicked with, to be raised again in the caller.
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    closing: AtomicBool,
    caller: Mutex<Option<Thread>>,
}

#[derive(Clone, Copy)]
struct WorkPointer(*const Work<'static>);

// SAFETY: the pointee is `Sync`, and `Crew::run` keeps it alive until every member has finished.
unsafe impl Send for WorkPointer {}

/// The threads of one network.
pub(crate) struct Crew {
    board: Option<Arc<Board>>,
    members: Vec<JoinHandle<()>>,
}

impl std::fmt::Debug for Crew {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Crew")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

impl Crew {
    /// Starts the threads beyond the caller's own.
    ///
    /// # Panics
    /// If the operating system refuses a thread.
    pub(crate) fn new(threads: Threads) -> Crew {
        if threads == Threads::ONE {
            return Crew {
                board: None,
                members: Vec::new(),
            };
        }
        let board = Arc::new(Board {
            round: AtomicUsize::new(0),
            unfinished: AtomicUsize::new(0),
            work: Mutex::new(None),
            panic: Mutex::new(None),
            closing: AtomicBool::new(false),
            caller: Mutex::new(None),
        });
        let start = |member: usize| {
            let board = Arc::clone(&board);
            thread::Builder::new()
                .name(format!("lehr-train-{member}"))
                .spawn(move || serve(&board, member))
                .expect("the operating system gives the few threads that were asked for")
        };
        let members = (1..threads.get()).map(start).collect();
        Crew {
            board: Some(board),
            members,
        }
    }

    /// Number of threads, the caller's included.
    pub(crate) fn size(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `work(0)` here and `work(1)`, `work(2)` … on the members; returns when all have.
    pub(crate) fn run(&self, work: &Work<'_>) {
        let Some(board) = &self.board else {
            return work(0);
        };
        // SAFETY: only the lifetime is changed; this function does not return, not even by a
        // panic, before every member has finished with the pointer.
        let pointer = unsafe { std::mem::transmute::<*const Work<'_>, *const Work<'static>>(work) };
        *board.work.lock().expect("no lock holder panics") = Some(WorkPointer(pointer));
        *board.caller.lock().expect("no lock holder panics") = Some(thread::current());
        board
            .unfinished
            .store(self.members.len(), Ordering::Relaxed);
        board.round.fetch_add(1, Ordering::Release);
        self.members
            .iter()
            .for_each(|member| member.thread().unpark());
        let own = catch_unwind(AssertUnwindSafe(|| work(0)));
        wait(|| board.unfinished.load(Ordering::Acquire) == 0);
        let theirs = board.panic.lock().expect("no lock holder panics").take();
        if let Some(payload) = own.err().or(theirs) {
            std::panic::resume_unwind(payload);
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        let Some(board) = &self.board else { return };
        board.closing.store(true, Ordering::Relaxed);
        board.round.fetch_add(1, Ordering::Release);
        for member in self.members.drain(..) {
            member.thread().unpark();
            // A member's panic was already raised in `run`; there is nothing to add here.
            let _ = member.join();
        }
    }
}

fn serve(board: &Board, member: usize) {
    let mut seen = 0;
    loop {
        wait(|| board.round.load(Ordering::Acquire) != seen);
        seen = seen.wrapping_add(1);
        if board.closing.load(Ordering::Relaxed) {
            return;
        }
        let pointer = *board.work.lock().expect("no lock holder panics");
        let pointer = pointer.expect("a round starts after its work is on the board");
        // SAFETY: the caller waits in `Crew::run` until this member has counted itself as finished.
        let work = unsafe { &*pointer.0 };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| work(member))) {
            *board.panic.lock().expect("no lock holder panics") = Some(payload);
        }
        let caller = board.caller.lock().expect("no lock holder panics").clone();
        if board.unfinished.fetch_sub(1, Ordering::AcqRel) == 1 {
            caller
                .expect("a round starts after its caller is on the board")
                .unpark();
        }
    }
}

/// Spins, then sleeps, until `ready`; whoever makes it ready unparks the waiter.
fn wait(ready: impl Fn() -> bool) {
    for _ in 0..SPINS {
        if ready() {
            return;
        }
        std::hint::spin_loop();
    }
    while !ready() {
        thread::park();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crew(count: u8) -> Crew {
        Crew::new(Threads::new(NonZeroU8::new(count).unwrap()))
    }

    #[test]
    fn every_member_is_called_once_per_round() {
        for count in [1, 2, 3, 5] {
            let crew = crew(count);
            let calls: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
            for _ in 0..300 {
                crew.run(&|member| {
                    calls[member].fetch_add(1, Ordering::Relaxed);
                });
            }
            assert!(
                calls
                    .iter()
                    .all(|calls| calls.load(Ordering::Relaxed) == 300)
            );
        }
    }

    #[test]
    fn a_panic_of_a_member_reaches_the_caller_and_the_crew_survives() {
        let crew = crew(2);
        let result = catch_unwind(AssertUnwindSafe(|| {
            crew.run(&|member| assert!(member == 0, "member {member} fails"));
        }));
        assert!(result.is_err());
        let calls = AtomicUsize::new(0);
        crew.run(&|_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 2);
    }

    #[test]
    fn members_wake_after_a_long_sleep() {
        let crew = crew(2);
        thread::sleep(std::time::Duration::from_millis(30));
        let calls = AtomicUsize::new(0);
        crew.run(&|_| {
            calls.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(calls.into_inner(), 2);
    }
}
