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
use train::{
    Augmentation, FitTask, GoOn, Metric, Mode, Network, Plan, Purpose, Recipe, Threads, Training,
    Verdict, Weights,
};

/// Counts the calling thread's allocations on their way to the system's allocator.
struct Counting;

thread_local! {
    // Per thread, because the test harness allocates beside the tests.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static LARGE_BYTES: Cell<u64> = const { Cell::new(0) };
    // Large ones that are there now, and the most that were at once.
    static HELD_BYTES: Cell<u64> = const { Cell::new(0) };
    static PEAK_BYTES: Cell<u64> = const { Cell::new(0) };
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
            let _ = HELD_BYTES.try_with(add);
            let held = HELD_BYTES.try_with(Cell::get).unwrap_or(0);
            let _ = PEAK_BYTES.try_with(|peak| peak.set(peak.get().max(held)));
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if layout.size() >= LARGE {
            // What another thread has taken is not counted here.
            let less = |bytes: &Cell<u64>| {
                bytes.set(bytes.get().saturating_sub(layout.size() as u64));
            };
            let _ = HELD_BYTES.try_with(less);
        }
        // SAFETY: the caller's promise is the system's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// An image's network, a series' and a table's: every kind of step in one of them.
const NETWORKS: [&str; 3] = [
    "in 3x16x16 | conv 16 k3 | bn | a: relu | conv 16 k3 | b: bn | add a b | relu | maxpool k2 \
     | c: dwconv k3 | d: avgpool k2 s1 (c) | e: conv 16 k1 s1 (d) | f: slice 2 8 | cat e f | ln | gelu \
     | g: conv 32 k5 | gap | dense 8 | relu | dense 32 | h: sigmoid | mul g h | silu | gap \
     | dropout 0.2 | dense 10",
    "in 1x40 | embed 9 16 | a: position | ln | b: attention 4 | c: add a b | conv 16 k5 | bn | relu \
     | maxpool k2 | conv 24 k3 d2 | dwconv k3 | flatten | dense 10",
    "in 12 | periodic 8 | dense 64 | bn | relu | dense 10",
];

fn plan(text: &str, threads: u8, purpose: Purpose) -> (Plan, Weights) {
    let architecture: Architecture = text.parse().expect("the notation is right");
    let threads = Threads::new(NonZeroU8::new(threads).expect("not 0"));
    let batch = NonZeroUsize::new(32).expect("not 0");
    let plan = Plan::compile(&architecture, batch, threads, purpose).expect("it is small");
    (
        plan,
        Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1)),
    )
}

/// A training that nobody stops or listens to.
fn task<'a>(
    architecture: &'a Architecture,
    [train, validation]: [&'a Examples; 2],
    recipe: &'a Recipe,
) -> FitTask<'a> {
    FitTask {
        architecture,
        train,
        validation,
        recipe,
        metric: Metric::Accuracy,
        target_scale: 1.0,
        threads: Threads::ONE,
        seed: 1,
        stop: &|| GoOn::Yes,
        heard: &|_| {},
    }
}

#[test]
fn the_bytes_taken_are_the_bytes_promised() {
    for text in NETWORKS {
        for purpose in [Purpose::Train, Purpose::Infer] {
            for threads in [1, 2] {
                let (plan, weights) = plan(text, threads, purpose);
                let promised = plan.memory_bytes();
                let before = LARGE_BYTES.get();
                let network = Network::new(plan, weights);
                let taken = LARGE_BYTES.get() - before;
                assert_eq!(taken, promised, "{text}, {purpose:?}, {threads} threads");
                drop(network);
            }
        }
    }
}

#[test]
fn a_training_becomes_a_file_in_the_bytes_promised() {
    let architecture: Architecture = "in 64 | dense 512 | bn | relu | dense 512 | relu | dense 10"
        .parse()
        .unwrap();
    let examples = examples(32, 64);
    let recipe = Recipe {
        batch_size: NonZeroUsize::new(32).unwrap(),
        ..Recipe::default()
    };
    let task = task(&architecture, [&examples, &examples], &recipe);
    let start = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
    let training = Training::begin(&task, start).unwrap();
    let batch = recipe.batch_size;
    let plan = Plan::compile(&architecture, batch, Threads::ONE, Purpose::Train).unwrap();
    let before = HELD_BYTES.get();
    PEAK_BYTES.set(before);
    let file = training.pause();
    let taken = PEAK_BYTES.get() - before;
    let promised = plan.pause_bytes();
    // Names and what is noted of epochs come on top.
    assert!(
        (promised..promised + LARGE as u64).contains(&taken),
        "{taken}, not {promised}"
    );
    assert!(file.len() as u64 > 5 * promised / 6);
    let inference = Plan::compile(&architecture, batch, Threads::ONE, Purpose::Infer).unwrap();
    assert_eq!(inference.pause_bytes(), 0);
}

#[test]
fn compiling_a_plan_takes_no_tensor_memory() {
    let (plan, before) = {
        let architecture: Architecture = NETWORKS[0].parse().unwrap();
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

/// Rows of numbers that are codes, too.
fn examples(rows: usize, values: usize) -> Examples {
    let inputs = (0..rows * values).map(|at| (at % 7) as f32 / 2.0).collect();
    let ids = (0..rows as u32).map(|row| row % 10).collect();
    let item = match values {
        768 => ItemShape::Image {
            height: 16,
            width: 16,
            channels: 3,
        },
        _ => ItemShape::Features(values as u32),
    };
    Examples::from_floats(item, inputs, Targets::Classes { ids, count: 10 })
}

#[test]
fn passes_over_a_batch_allocate_nothing() {
    for text in NETWORKS {
        let (plan, weights) = plan(text, 1, Purpose::Train);
        let mut network = Network::new(plan, weights);
        let values = text.parse::<Architecture>().unwrap().input_shape().values();
        let examples = examples(32, values);
        let rows: Vec<u32> = (0..32).collect();
        let mut inputs = vec![0.0; 32 * values];
        examples.copy_inputs(&rows, &mut inputs);
        let before = COUNT.get();
        for seed in 0..5 {
            network.forward(&inputs, Mode::Train { seed });
        }
        assert_eq!(COUNT.get(), before, "{text}");
        network.outputs(&examples, &rows);
        // One for the vector it returns.
        assert_eq!(COUNT.get(), before + 1, "{text}");
    }
}

#[test]
fn a_step_of_training_allocates_nothing() {
    for text in NETWORKS {
        let architecture: Architecture = text.parse().unwrap();
        let values = architecture.input_shape().values();
        let validation = examples(10, values);
        // What one epoch allocates, as the number of its steps grows.
        let epoch = |steps: usize| {
            let train = examples(32 * steps, values);
            let recipe = Recipe {
                batch_size: NonZeroUsize::new(32).unwrap(),
                gradient_norm_max: Some(1.0),
                average_decay: Some(0.9),
                augmentation: Augmentation {
                    crop: NonZeroU8::new(1),
                    mixup: Some(0.5),
                    noise: Some(0.1),
                    ..Augmentation::default()
                },
                ..Recipe::default()
            };
            let task = task(&architecture, [&train, &validation], &recipe);
            let start = Weights::fresh(&architecture, &mut ChaCha8Rng::seed_from_u64(1));
            let mut training = Training::begin(&task, start).unwrap();
            let before = COUNT.get();
            training.epoch(&mut |_| Verdict::Continue).unwrap();
            COUNT.get() - before
        };
        // The list of batches grows a few times; steps that allocated would do so a hundred times.
        let (few, many) = (epoch(2), epoch(42));
        assert!(many <= few + 8, "{text}: {few} and {many} allocations");
    }
}
