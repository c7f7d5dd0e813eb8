//! Choosing a random legal morph: first its kind, then its place, uniformly among the legal ones.
//!
//! Narrower than what [`Morph::apply`] allows: a draw leaves the layer that makes the logits alone,
//! leads skips only past two weighted layers or more, and keeps widths and kernels in the range
//! that the field uses. It knows no budget: whoever draws compares the child's cost with the
//! limits.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::{
    architecture::{Architecture, LayerId},
    layer::{Kernel, Layer},
    morph::{Block, ChannelImportance, Morph},
    shape::Shape,
};

/// Whether drawn morphs make a network larger or smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Exact morphs only.
    Grow,
    /// Approximate morphs only.
    Shrink,
    /// All of them, growing twice as often as shrinking.
    Any,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Deepen,
    Widen,
    AddSkip,
    ConcatSkip,
    GrowKernel,
    AddFrequencies,
    RemoveLayer,
    RemoveSkip,
    Prune,
    ShrinkKernel,
    DropFrequencies,
}

/// Depth and width matter most (as in Net2Net and NASH); the weights sum to 14, for rows of numbers to 15.
const GROWING: [(Kind, u32); 5] = [
    (Kind::Deepen, 4),
    (Kind::Widen, 4),
    (Kind::AddSkip, 2),
    (Kind::ConcatSkip, 2),
    (Kind::GrowKernel, 2),
];

/// The weights sum to 7, half of those above.
const SHRINKING: [(Kind, u32); 4] = [
    (Kind::RemoveLayer, 2),
    (Kind::RemoveSkip, 1),
    (Kind::Prune, 3),
    (Kind::ShrinkKernel, 1),
];

/// Rows of numbers have waves, too.
const GROWING_ROWS: [(Kind, u32); 1] = [(Kind::AddFrequencies, 1)];
const SHRINKING_ROWS: [(Kind, u32); 1] = [(Kind::DropFrequencies, 1)];

/// A dense layer in a block has the square of its width as weights; wider blocks cost millions. So nothing is
/// inserted behind a wider input: that some networks for it have hidden layers is the seeds' work.
const BLOCK_FEATURES_MAX: u32 = 1024;
/// Larger kernels are not drawn: two layers of 3×3 see as much for less.
const KERNEL_DRAWN_MAX: u8 = 7;
/// Drawn widths are multiples of this, which fills vector registers.
const WIDTH_STEP: u32 = 8;
/// Narrower layers are not pruned.
const PRUNED_WIDTH_MIN: u32 = 4;
/// By how much layers are widened, in percent of their width.
const WIDEN_PERCENT: [u32; 3] = [25, 50, 100];
/// Frequencies that a network without waves gets.
const FREQUENCIES_FIRST: [u32; 2] = [4, 8];
/// More are not drawn.
const FREQUENCIES_MAX: u32 = 32;
/// By how many frequencies waves shrink, in percent; without any, the layer goes.
const DROP_PERCENT: [u32; 2] = [50, 100];
/// By how much layers are pruned, in percent of their width.
const PRUNE_PERCENT: [u32; 2] = [25, 50];

impl Morph {
    /// A random morph that can be applied, or `None` if there is none in this direction.
    ///
    /// # Cost
    /// `O(layers²)` to find the places, times the layers again where many of them are far enough apart for a
    /// skip, and one application for each place tried.
    pub fn draw(
        architecture: &Architecture,
        direction: Direction,
        rng: &mut ChaCha8Rng,
    ) -> Option<Morph> {
        let view = View::of(architecture);
        let mut kinds = view.kinds(direction);
        while !kinds.is_empty() {
            let kind = kinds.remove(weighted(&kinds, rng)).0;
            let mut places = view.places(kind, rng);
            while !places.is_empty() {
                let morph = places.swap_remove(rng.random_range(0..places.len()));
                if morph
                    .apply(architecture, &ChannelImportance::unknown())
                    .is_ok()
                {
                    return Some(morph);
                }
            }
        }
        None
    }
}

fn weighted(kinds: &[(Kind, u32)], rng: &mut ChaCha8Rng) -> usize {
    let sum: u32 = kinds.iter().map(|(_, weight)| weight).sum();
    let mut left = rng.random_range(0..sum);
    let chosen = kinds
        .iter()
        .position(|(_, weight)| match left.checked_sub(*weight) {
            Some(rest) => {
                left = rest;
                false
            }
            None => true,
        });
    chosen.expect("the number drawn is below the sum")
}

/// What a draw asks about an architecture.
struct View<'a> {
    architecture: &'a Architecture,
    /// Whether a layer passes its channels on to the output unmixed, or makes the logits.
    is_head: Vec<bool>,
    /// Largest number of layers with a kernel or matrix on the way from the input, itself included.
    depth: Vec<usize>,
    /// For each layer, whether it depends on each other one.
    depends: Vec<Vec<bool>>,
}

impl<'a> View<'a> {
    fn of(architecture: &'a Architecture) -> View<'a> {
        let layers = architecture.nodes().len();
        let mut view = View {
            architecture,
            is_head: vec![false; layers],
            depth: vec![0; layers],
            depends: vec![vec![false; layers]; layers],
        };
        for id in architecture.ids() {
            let is_deep = mixes(architecture.layer(id));
            let inputs = architecture.inputs(id);
            let deepest = inputs
                .iter()
                .map(|input| view.depth[input.index()])
                .max()
                .unwrap_or(0);
            view.depth[id.index()] = deepest + usize::from(is_deep);
            let (earlier, this) = view.depends.split_at_mut(id.index());
            for input in inputs {
                let theirs = &earlier[input.index()];
                this[0]
                    .iter_mut()
                    .zip(theirs)
                    .for_each(|(mine, theirs)| *mine |= theirs);
                this[0][input.index()] = true;
            }
        }
        view.is_head[layers - 1] = true;
        for id in architecture.ids().rev() {
            if view.is_head[id.index()] && !architecture.layer(id).decides_channels() {
                let inputs = architecture.inputs(id).iter();
                inputs.for_each(|input| view.is_head[input.index()] = true);
            }
        }
        view
    }

    fn kinds(&self, direction: Direction) -> Vec<(Kind, u32)> {
        let is_row = matches!(self.architecture.input_shape(), Shape::Flat { .. });
        let of_rows = usize::from(is_row);
        let grow = [&GROWING[..], &GROWING_ROWS[..of_rows]].concat();
        let shrink = [&SHRINKING[..], &SHRINKING_ROWS[..of_rows]].concat();
        match direction {
            Direction::Grow => grow,
            Direction::Shrink => shrink,
            Direction::Any => [grow, shrink].concat(),
        }
    }

    /// All layers that a draw may change.
    fn body(&self) -> impl Iterator<Item = LayerId> + '_ {
        self.architecture
            .ids()
            .filter(|id| !self.is_head[id.index()])
    }

    /// One morph for each place of a kind; some may turn out to be illegal.
    fn places(&self, kind: Kind, rng: &mut ChaCha8Rng) -> Vec<Morph> {
        match kind {
            Kind::Deepen => self
                .body()
                .filter_map(|after| self.deepen(after, rng))
                .collect(),
            Kind::Widen => self
                .body()
                .filter_map(|layer| self.widen(layer, rng))
                .collect(),
            Kind::Prune => self
                .body()
                .filter_map(|layer| self.prune(layer, rng))
                .collect(),
            Kind::AddSkip => self.pairs(
                |from, to| self.is_add_skip(from, to),
                |from, to| Morph::AddSkip { from, to },
            ),
            Kind::ConcatSkip => self.pairs(
                |from, to| self.is_concat_skip(from, to),
                |from, to| Morph::ConcatSkip { from, to },
            ),
            Kind::GrowKernel => {
                let grows = |layer: &LayerId| self.grows(*layer);
                self.body()
                    .filter(grows)
                    .map(|layer| Morph::GrowKernel { layer })
                    .collect()
            }
            Kind::AddFrequencies => {
                let layers = self.architecture.ids();
                layers
                    .filter_map(|layer| self.add_frequencies(layer, rng))
                    .collect()
            }
            Kind::DropFrequencies => {
                let layers = self.architecture.ids();
                layers
                    .filter_map(|layer| self.drop_frequencies(layer, rng))
                    .collect()
            }
            Kind::ShrinkKernel => {
                let shrinks = |layer: &LayerId| self.shrinks(*layer);
                self.body()
                    .filter(shrinks)
                    .map(|layer| Morph::ShrinkKernel { layer })
                    .collect()
            }
            Kind::RemoveLayer => {
                let keeps_shape = |layer: &LayerId| {
                    self.architecture.input_shapes(*layer) == [self.architecture.shape(*layer)]
                };
                self.body()
                    .filter(keeps_shape)
                    .map(|layer| Morph::RemoveLayer { layer })
                    .collect()
            }
            Kind::RemoveSkip => self
                .body()
                .flat_map(|layer| self.remove_skips(layer))
                .collect(),
        }
    }

    fn deepen(&self, after: LayerId, rng: &mut ChaCha8Rng) -> Option<Morph> {
        let layer = self.architecture.layer(after);
        let shape = self.architecture.shape(after);
        let fits = match shape {
            Shape::Image { .. } | Shape::Sequence { .. } => {
                matches!(
                    layer,
                    Layer::Relu | Layer::Gelu | Layer::Silu | Layer::BatchNorm | Layer::Add
                )
            }
            Shape::Flat { features } => {
                !mixes(layer) && features <= BLOCK_FEATURES_MAX && !self.is_code(after)
            }
        };
        let kernel = drawn_kernel(shape, rng);
        let is_identity = *layer == Layer::Relu && rng.random_range(0..2) == 0;
        let block = if is_identity {
            Block::Identity { kernel }
        } else {
            Block::Residual { kernel }
        };
        fits.then_some(Morph::Deepen { after, block })
    }

    fn widen(&self, layer: LayerId, rng: &mut ChaCha8Rng) -> Option<Morph> {
        let channels = self.architecture.shape(layer).channels();
        let percent = WIDEN_PERCENT[rng.random_range(0..WIDEN_PERCENT.len())];
        let raw = (channels * percent).div_ceil(100).max(1);
        let rounded = (channels + raw + WIDTH_STEP / 2) / WIDTH_STEP * WIDTH_STEP;
        let extra = if rounded > channels {
            rounded - channels
        } else {
            raw
        };
        let seed = rng.random();
        let decides = self.architecture.layer(layer).decides_channels();
        decides.then_some(Morph::Widen { layer, extra, seed })
    }

    fn prune(&self, layer: LayerId, rng: &mut ChaCha8Rng) -> Option<Morph> {
        let channels = self.architecture.shape(layer).channels();
        let percent = PRUNE_PERCENT[rng.random_range(0..PRUNE_PERCENT.len())];
        let raw = channels - channels * percent / 100;
        let rounded = if raw > WIDTH_STEP {
            raw.next_multiple_of(WIDTH_STEP)
        } else {
            raw
        };
        let left = if rounded < channels { rounded } else { raw };
        let fits = self.architecture.layer(layer).decides_channels()
            && channels >= PRUNED_WIDTH_MIN
            && left < channels;
        fits.then_some(Morph::Prune {
            layer,
            remove: channels - left,
        })
    }

    /// The input gets its first frequencies, waves half as many more or twice as many.
    fn add_frequencies(&self, layer: LayerId, rng: &mut ChaCha8Rng) -> Option<Morph> {
        let choice = rng.random_range(0..FREQUENCIES_FIRST.len());
        let extra = match *self.architecture.layer(layer) {
            Layer::Input { .. } if !self.is_code(layer) => FREQUENCIES_FIRST[choice],
            Layer::Periodic { frequencies } => {
                let extra = [frequencies.div_ceil(2), frequencies][choice];
                extra.min(FREQUENCIES_MAX.saturating_sub(frequencies))
            }
            _ => 0,
        };
        (extra > 0).then_some(Morph::AddFrequencies { layer, extra })
    }

    fn drop_frequencies(&self, layer: LayerId, rng: &mut ChaCha8Rng) -> Option<Morph> {
        let percent = DROP_PERCENT[rng.random_range(0..DROP_PERCENT.len())];
        let Layer::Periodic { frequencies } = *self.architecture.layer(layer) else {
            return None;
        };
        let remove = (frequencies * percent).div_ceil(100);
        Some(Morph::DropFrequencies { layer, remove })
    }

    fn pairs(
        &self,
        fits: impl Fn(LayerId, LayerId) -> bool,
        morph: impl Fn(LayerId, LayerId) -> Morph,
    ) -> Vec<Morph> {
        let sources = self
            .architecture
            .ids()
            .filter(|from| self.is_skip_source(*from));
        let pair = |from: LayerId| self.body().map(move |to| (from, to));
        let pairs = sources.flat_map(pair).filter(|(from, to)| fits(*from, *to));
        pairs.map(|(from, to)| morph(from, to)).collect()
    }

    /// Skips start behind an activation, or where channels are gathered.
    fn is_skip_source(&self, from: LayerId) -> bool {
        let layer = self.architecture.layer(from);
        !self.is_head[from.index()]
            && !mixes(layer)
            && !matches!(layer, Layer::BatchNorm)
            && !self.is_code(from)
    }

    /// Whether its values are codes, names of words or categories: no sum of them means anything.
    fn is_code(&self, id: LayerId) -> bool {
        let readers = self.architecture.consumers(id);
        readers
            .iter()
            .any(|reader| matches!(self.architecture.layer(*reader), Layer::Embedding { .. }))
    }

    fn is_add_skip(&self, from: LayerId, to: LayerId) -> bool {
        // Who reads a layer is asked last: that looks at all of them.
        self.depends[to.index()][from.index()]
            && self.depth[to.index()] >= self.depth[from.index()] + 2
            && self.is_skip_end(to)
            && !self.is_added(from, to)
    }

    /// Sums stand behind a norm, behind another sum, or where no norm follows.
    fn is_skip_end(&self, to: LayerId) -> bool {
        match self.architecture.layer(to) {
            Layer::BatchNorm | Layer::LayerNorm | Layer::Add => true,
            // Before a norm or behind it is the same place; behind it is usual.
            Layer::Conv { .. } | Layer::Dense { .. } => {
                let readers = self.architecture.consumers(to);
                readers
                    .iter()
                    .any(|id| !matches!(self.architecture.layer(*id), Layer::BatchNorm))
            }
            _ => false,
        }
    }

    /// Whether `to + from` or `to + P·from` is computed already.
    fn is_added(&self, from: LayerId, to: LayerId) -> bool {
        let architecture = self.architecture;
        let readers = architecture.consumers(to).into_iter();
        let mut sums = readers.filter(|id| *architecture.layer(*id) == Layer::Add);
        sums.any(|sum| {
            architecture.inputs(sum).iter().any(|side| {
                *side == from
                    || (architecture.layer(*side).decides_channels()
                        && architecture.inputs(*side) == [from])
            })
        })
    }

    fn is_concat_skip(&self, from: LayerId, to: LayerId) -> bool {
        let [read] = *self.architecture.inputs(to) else {
            return false;
        };
        self.architecture.layer(to).decides_channels()
            && self.depends[read.index()][from.index()]
            && self.depth[read.index()] > self.depth[from.index()]
            && self
                .architecture
                .shape(from)
                .same_positions(self.architecture.shape(read))
    }

    fn remove_skips(&self, layer: LayerId) -> Vec<Morph> {
        let inputs = match self.architecture.layer(layer) {
            Layer::Add | Layer::Concat => self.architecture.inputs(layer).len(),
            _ => 0,
        };
        let inputs = u32::try_from(inputs).expect("inputs are counted in 32 bits");
        (0..inputs)
            .map(|input| Morph::RemoveSkip { layer, input })
            .collect()
    }

    fn kernel(&self, layer: LayerId) -> Option<Kernel> {
        match self.architecture.layer(layer) {
            Layer::Conv { kernel, .. } | Layer::DepthwiseConv { kernel } => Some(*kernel),
            _ => None,
        }
    }

    fn grows(&self, layer: LayerId) -> bool {
        let input = self.architecture.input_shapes(layer).first().copied();
        self.kernel(layer)
            .zip(input)
            .is_some_and(|(kernel, input)| {
                let size = kernel.size() + 2;
                size <= KERNEL_DRAWN_MAX && sees_more(size, input)
            })
    }

    fn shrinks(&self, layer: LayerId) -> bool {
        // A depthwise kernel of one pixel does no more than the batch norm behind it.
        let least = match self.architecture.layer(layer) {
            Layer::DepthwiseConv { .. } => 5,
            _ => 3,
        };
        self.kernel(layer)
            .is_some_and(|kernel| kernel.size() >= least)
    }
}

/// Whether it sums over many values with learned weights.
fn mixes(layer: &Layer) -> bool {
    layer.decides_channels() || matches!(layer, Layer::DepthwiseConv { .. })
}

/// Whether the border of a kernel ever meets anything but padding.
fn sees_more(size: u8, input: Shape) -> bool {
    let (rows, columns) = input.plane();
    usize::from(size / 2) < rows.max(columns) && !matches!(input, Shape::Flat { .. })
}

/// Mostly 3, sometimes 5 or 1; 1 wherever an image is too small.
fn drawn_kernel(shape: Shape, rng: &mut ChaCha8Rng) -> u8 {
    let drawn = [3, 3, 3, 5, 1][rng.random_range(0..5)];
    if sees_more(drawn, shape) { drawn } else { 1 }
}
