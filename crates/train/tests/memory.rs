//! What the engine really asks the allocator for: exactly what its plan promised, and then nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    num::{NonZeroU8, NonZeroUsize},
};

use data::{Examples, ItemShape, Targets};
use morph::Architecture;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use train::{Mode, Network, Plan, Purpose, Threads, Weights};

/// Counts the calling thread's allocations on their way to the system's allocator.
struct Counting;

thread_local! {
    // Per thread, because the test harness allocates beside the tests.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LARGE_BYTES: Cell<u64> = const { Cell::new(0) };
}

/// Names, tables and thread bookkeeping stay below this; tensors of this test do not.
const LARGE: usize = 16 * 1024;

// SAFETY: every call is passed on unchanged to the system's allocator, which keeps the contract;
// counting neither allocates nor panics.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // A thread that is ending has no counters any more, and nothing of it is measured.
        let _ = COUNT.try_with(|count| count.set(count.get() + 1));
        if layout.size() >= LARGE {
            let add = |bytes: &Cell<u64>| bytes.set(bytes.get() + layout.size() as u64);
            let _ = LARGE_BYTES.try_with(add);
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const TEXT: &str = "in 3x16x16 | conv 16 k3 | bn | a: relu | conv 16 k3 | b: bn | add a b | relu \
                    | maxpool k2 | dwconv k3 | ln | gelu | conv 32 k1 | gap | dropout 0.2 | dense 10";

fn plan(threads: u8, purpose: Purpose) -> (Plan, Weights) {
    let architecture: Architecture = TEXT.parse().expect("the notation is right");
    let threads = Threads::new(NonZeroU8::new(threads).expect("not 0"));
    let batch = NonZeroUsize::new(32).expect("not 0");
    let plan = Plan::compile(&architecture, batch, threads, purpose).expect("it is small");
    (
        plan,
        Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1)),
    )
}

#[test]
fn the_bytes_taken_are_the_bytes_promised() {
    for purpose in [Purpose::Train, Purpose::Infer] {
        for threads in [1, 2] {
            let (plan, weights) = plan(threads, purpose);
            let promised = plan.memory_bytes();
            let before = LARGE_BYTES.get();
            let network = Network::new(plan, weights);
            let taken = LARGE_BYTES.get() - before;
            assert_eq!(taken, promised, "{purpose:?}, {threads} threads");
            drop(network);
        }
    }
}

#[test]
fn compiling_a_plan_takes_no_tensor_memory() {
    let (plan, before) = {
        let architecture: Architecture = TEXT.parse().unwrap();
        let batch = NonZeroUsize::new(1 << 20).unwrap();
        let before = LARGE_BYTES.get();
        let plan = Plan::compile(&architecture, batch, Threads::ONE, Purpose::Train).unwrap();
        (plan, before)
    };
    assert!(
        plan.memory_bytes() > 100 << 30,
        "a million images of it need many gigabytes"
    );
    assert_eq!(LARGE_BYTES.get(), before);
}

/// Every kind of step but the products, whose library takes packing buffers of its own at each call.
const WITHOUT_PRODUCTS: &str = "in 3x16x16 | bn | a: relu | b: ln | add a b | relu | c: maxpool k2 \
                                | d: avgpool k2 (b) | cat c d | dwconv k3 | gelu | dropout 0.2 | gap";

#[test]
fn passes_over_a_batch_allocate_nothing_of_their_own() {
    let architecture: Architecture = WITHOUT_PRODUCTS.parse().unwrap();
    let weights = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
    let batch = NonZeroUsize::new(32).unwrap();
    let plan = Plan::compile(&architecture, batch, Threads::ONE, Purpose::Train).unwrap();
    let mut network = Network::new(plan, weights);
    let inputs = vec![0.5; 32 * 768];
    let item = ItemShape::Image {
        height: 16,
        width: 16,
        channels: 3,
    };
    let examples = Examples::from_floats(item, inputs.clone(), Targets::None);
    let rows: Vec<u32> = (0..32).collect();
    let before = COUNT.get();
    for seed in 0..5 {
        network.forward(&inputs, Mode::Train { seed });
    }
    assert_eq!(COUNT.get(), before);
    network.outputs(&examples, &rows);
    // One for the vector it returns.
    assert_eq!(COUNT.get(), before + 1);
}
