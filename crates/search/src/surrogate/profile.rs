//! How far two architectures are apart: the cost of editing one into the other.
//!
//! An architecture is seen as its main path (the longest from input to output) and the side paths that
//! leave it and come back by an addition, a product or a concatenation. The distance is the cost of the
//! cheapest alignment of the main paths plus that of the cheapest matching of the side paths.
//!
//! Source: Jin, Song, Hu 2019 (Auto-Keras, arXiv:1806.10282), section 3.2, with every kind of layer
//! measured instead of convolutions only, attributes compared by their logarithms, and the layers on side
//! paths counted.

use std::mem::{Discriminant, discriminant};

use morph::{Architecture, Layer, LayerId};

use super::assignment::least_cost;

/// What a norm costs, and a layer without weights that changes no shape.
const SMALL_COST: f64 = 0.25;

/// Attributes that a layer may have.
const ATTRIBUTES: usize = 3;

/// A layer as far as the distance sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Part {
    kind: Discriminant<Layer>,
    cost: f64,
    /// Logarithms of its sizes, 0 where it has fewer; the count of those that exist.
    attributes: [f64; ATTRIBUTES],
    count: usize,
}

impl Part {
    fn of(layer: &Layer) -> Part {
        let kernel = |size: u8, stride: u8, dilation: u8| {
            [u32::from(size), u32::from(stride), u32::from(dilation)]
        };
        let (sizes, count) = match *layer {
            Layer::Dense { units } => ([units, 1, 1], 1),
            Layer::Conv {
                channels,
                kernel: k,
            } => {
                // A stride excludes a dilation: their product tells both.
                let moved = u32::from(k.stride()) * u32::from(k.dilation());
                ([channels, u32::from(k.size()), moved], 3)
            }
            Layer::DepthwiseConv { kernel: k } => (kernel(k.size(), k.stride(), k.dilation()), 3),
            Layer::MaxPool { window } | Layer::AvgPool { window } => {
                (kernel(window.size(), window.stride(), 1), 2)
            }
            Layer::Dropout { rate } => ([u32::from(rate.thousandths()), 1, 1], 1),
            Layer::Attention { heads } => ([heads, 1, 1], 1),
            Layer::Periodic { frequencies } => ([frequencies, 1, 1], 1),
            Layer::Embedding { codes, width } => ([codes, width, 1], 2),
            Layer::Slice { first, count } => ([first + 1, count, 1], 2),
            _ => ([1; ATTRIBUTES], 0),
        };
        let is_small = !layer.has_weights() && !changes_shape(layer);
        let is_small = is_small || matches!(layer, Layer::BatchNorm | Layer::LayerNorm);
        Part {
            kind: discriminant(layer),
            cost: if is_small { SMALL_COST } else { 1.0 },
            attributes: sizes.map(|size| f64::from(size).ln()),
            count,
        }
    }

    /// From 0 to the larger cost of both: the mean over attributes of δ/(1+δ), δ = |ln a − ln b|.
    fn distance(&self, other: &Part) -> f64 {
        if self.kind != other.kind {
            return self.cost.max(other.cost);
        }
        if self.count == 0 {
            return 0.0;
        }
        let pairs = self.attributes.iter().zip(&other.attributes);
        let sum: f64 = pairs
            .take(self.count)
            .map(|(a, b)| (a - b).abs())
            .map(|delta| delta / (1.0 + delta))
            .sum();
        self.cost * sum / self.count as f64
    }
}

/// Every different layer that was met, and how far each is from each: a search meets few, and compares
/// them millions of times.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts {
    met: Vec<Part>,
    costs: Vec<f32>,
    /// `[one][other]`.
    distances: Vec<Vec<f32>>,
}

/// A layer's place among the [`Parts`].
type PartId = u32;

impl Parts {
    fn id(&mut self, layer: &Layer) -> PartId {
        let part = Part::of(layer);
        let place = self.met.iter().position(|met| *met == part);
        place.unwrap_or_else(|| self.add(part)) as PartId
    }

    fn add(&mut self, part: Part) -> usize {
        let to_others = self.met.iter().map(|met| part.distance(met) as f32);
        let mut row: Vec<f32> = to_others.collect();
        for (others, distance) in self.distances.iter_mut().zip(&row) {
            others.push(*distance);
        }
        row.push(0.0);
        self.distances.push(row);
        self.costs.push(part.cost as f32);
        self.met.push(part);
        self.met.len() - 1
    }

    fn cost(&self, id: PartId) -> f32 {
        self.costs[id as usize]
    }

    /// The cheapest alignment: layers are inserted, deleted or replaced (Needleman and Wunsch 1970).
    ///
    /// A row of the table is kept less what inserting all layers up to each column costs: an insertion
    /// is then a minimum with the value to the left, and all else of a row can be done at once. Costs are
    /// quarters, so that this takes nothing from what is exact.
    fn alignment(&self, one: &[PartId], other: &[PartId]) -> f64 {
        let (one, other) = differing(one, other);
        if one.is_empty() || other.is_empty() {
            let left = one.iter().chain(other).map(|id| self.cost(*id));
            return f64::from(left.sum::<f32>());
        }
        let costs: Vec<f32> = other.iter().map(|id| self.cost(*id)).collect();
        let mut above = vec![0.0_f32; other.len() + 1];
        let mut row = above.clone();
        for id in one {
            let (cost, distances) = (self.cost(*id), &self.distances[*id as usize]);
            row[0] = above[0] + cost;
            let columns = other.iter().zip(&costs).zip(above.windows(2));
            for (((next, insertion), pair), out) in columns.zip(&mut row[1..]) {
                let replaced = pair[0] + distances[*next as usize] - insertion;
                *out = replaced.min(pair[1] + cost);
            }
            let mut least = row[0];
            for value in &mut row[1..] {
                least = least.min(*value);
                *value = least;
            }
            std::mem::swap(&mut above, &mut row);
        }
        f64::from(above[other.len()] + costs.iter().sum::<f32>())
    }
}

/// Both without what they begin and end with alike: costs are a metric, so that it is aligned with itself.
fn differing<'a>(one: &'a [PartId], other: &'a [PartId]) -> (&'a [PartId], &'a [PartId]) {
    let same = |pair: &(&PartId, &PartId)| pair.0 == pair.1;
    let first = one.iter().zip(other).take_while(same).count();
    let (one, other) = (&one[first..], &other[first..]);
    let last = one
        .iter()
        .rev()
        .zip(other.iter().rev())
        .take_while(same)
        .count();
    (&one[..one.len() - last], &other[..other.len() - last])
}

fn changes_shape(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::MaxPool { .. }
            | Layer::AvgPool { .. }
            | Layer::GlobalAvgPool
            | Layer::Flatten
            | Layer::Slice { .. }
    )
}

/// A path beside the main one.
#[derive(Clone, Debug, PartialEq)]
struct SidePath {
    /// How it comes back.
    join: Discriminant<Layer>,
    /// Where it leaves and where it comes back, in layers of the main path.
    from: f64,
    to: f64,
    /// Layers on it, in order.
    parts: Vec<PartId>,
    /// What inserting it costs.
    cost: f64,
}

impl SidePath {
    /// By place from 0 to 1, as in the source, plus the alignment of the layers on them.
    fn distance(&self, other: &SidePath, parts: &Parts) -> f64 {
        if self.join != other.join {
            return self.cost.max(other.cost);
        }
        let (span, other_span) = (self.to - self.from, other.to - other.from);
        let apart = (self.from - other.from).abs() + (span - other_span).abs();
        let scale = self.from.max(other.from) + span.max(other_span);
        let place = if scale > 0.0 { apart / scale } else { 0.0 };
        place + parts.alignment(&self.parts, &other.parts)
    }
}

/// An architecture as far as the distance sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Profile {
    main: Vec<PartId>,
    sides: Vec<SidePath>,
}

impl Profile {
    /// Finds main and side paths; profiles are compared by the parts that they were made with.
    ///
    /// # Cost
    /// `O(connections + layers · parts)`.
    pub(crate) fn of(architecture: &Architecture, parts: &mut Parts) -> Profile {
        let main = main_path(architecture);
        let mut place = vec![None; architecture.nodes().len()];
        for (index, id) in main.iter().enumerate() {
            place[id.index()] = Some(index);
        }
        let mut sides = Vec::new();
        for (index, pair) in main.windows(2).enumerate() {
            let (before, id) = (pair[0], pair[1]);
            let mut others = architecture.inputs(id).to_vec();
            if let Some(at) = others.iter().position(|input| *input == before) {
                others.remove(at);
            }
            let join = discriminant(architecture.layer(id));
            for other in others {
                let (from, layers) = side_path(architecture, &place, other);
                let ids = layers.iter().map(|id| parts.id(architecture.layer(*id)));
                let ids: Vec<PartId> = ids.collect();
                let layers_cost: f32 = ids.iter().map(|id| parts.cost(*id)).sum();
                sides.push(SidePath {
                    join,
                    from: from as f64,
                    to: index as f64 + 1.0,
                    parts: ids,
                    cost: 1.0 + f64::from(layers_cost),
                });
            }
        }
        let main = main.iter().map(|id| parts.id(architecture.layer(*id)));
        Profile {
            main: main.collect(),
            sides,
        }
    }

    /// The cost of editing one into the other; 0 for the same, in units of a layer with weights.
    ///
    /// # Cost
    /// The product of the lengths of the main paths, and the cube of the number of side paths.
    pub(crate) fn distance(&self, other: &Profile, parts: &Parts) -> f64 {
        parts.alignment(&self.main, &other.main) + matching(&self.sides, &other.sides, parts)
    }
}

/// The longest path from input to output; of equally long ones that by the earliest inputs.
fn main_path(architecture: &Architecture) -> Vec<LayerId> {
    let mut longest: Vec<(usize, Option<LayerId>)> = Vec::new();
    for id in architecture.ids() {
        let best = architecture
            .inputs(id)
            .iter()
            .map(|input| (longest[input.index()].0 + 1, *input))
            .reduce(|best, next| if next.0 > best.0 { next } else { best });
        longest.push(best.map_or((0, None), |(length, input)| (length, Some(input))));
    }
    let mut path = vec![architecture.output()];
    while let Some(before) = longest[path[path.len() - 1].index()].1 {
        path.push(before);
    }
    path.reverse();
    path
}

/// Follows first inputs back to the main path; what joins in between is counted with its layer only.
fn side_path(
    architecture: &Architecture,
    place: &[Option<usize>],
    end: LayerId,
) -> (usize, Vec<LayerId>) {
    let (mut layers, mut id) = (Vec::new(), end);
    loop {
        if let Some(from) = place[id.index()] {
            layers.reverse();
            return (from, layers);
        }
        layers.push(id);
        id = architecture.inputs(id)[0];
    }
}

/// The cheapest matching; a side path without a partner costs what it is.
fn matching(one: &[SidePath], other: &[SidePath], parts: &Parts) -> f64 {
    if one.is_empty() || other.is_empty() {
        return one.iter().chain(other).map(|path| path.cost).sum();
    }
    // Each may be matched with one of the other side or with nothing of its own.
    let (rows, columns) = (one.len() + other.len(), one.len() + other.len());
    let mut costs = vec![0.0; rows * columns];
    for (row, a) in one.iter().enumerate() {
        for (column, b) in other.iter().enumerate() {
            costs[row * columns + column] = a.distance(b, parts);
        }
        costs[row * columns + other.len()..(row + 1) * columns].fill(a.cost);
    }
    for row in one.len()..rows {
        for (column, b) in other.iter().enumerate() {
            costs[row * columns + column] = b.cost;
        }
    }
    least_cost(&costs, rows, columns)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn distance(one: &str, other: &str) -> f64 {
        let mut parts = Parts::default();
        let [one, other] = [one, other].map(|text| Profile::of(&text.parse().unwrap(), &mut parts));
        one.distance(&other, &parts)
    }

    const PLAIN: &str = "in 3x8x8 | conv 8 k3 | bn | relu | conv 8 k3 | bn | relu | gap | dense 4";

    #[test]
    fn one_edit_costs_what_it_says() {
        let deeper = "in 3x8x8 | conv 8 k3 | bn | relu | conv 8 k3 | bn | relu | conv 8 k3 | bn \
                      | relu | gap | dense 4";
        assert_eq!(distance(PLAIN, PLAIN), 0.0);
        // A convolution, a norm and a rectifier.
        assert_eq!(distance(PLAIN, deeper), 1.5);
        let wider = PLAIN.replacen("conv 8 k3", "conv 16 k3", 1);
        let delta = 2.0_f64.ln();
        let expected = delta / (1.0 + delta) / 3.0;
        assert!((distance(PLAIN, &wider) - expected).abs() < 1e-6);
        let smooth = PLAIN.replacen("relu", "gelu", 1);
        assert_eq!(distance(PLAIN, &smooth), SMALL_COST);
        let pooled = PLAIN.replacen("| relu ", "| relu | maxpool k2 ", 1);
        assert_eq!(distance(PLAIN, &pooled), 1.0);
    }

    #[test]
    fn skips_are_matched_by_place_join_and_layers() {
        let early = "in 3x8x8 | conv 8 k3 | a: relu | conv 8 k3 | b: relu | add a b | relu \
                     | conv 8 k3 | relu | gap | dense 4";
        let late = "in 3x8x8 | conv 8 k3 | relu | conv 8 k3 | a: relu | conv 8 k3 | b: relu \
                    | add a b | relu | gap | dense 4";
        let without = "in 3x8x8 | conv 8 k3 | relu | conv 8 k3 | relu | relu | conv 8 k3 | relu \
                       | gap | dense 4";
        assert_eq!(distance(early, early), 0.0);
        // The skip and the addition on the main path.
        assert_eq!(distance(early, without), 1.0 + SMALL_COST);
        let moved = distance(early, late);
        assert!(moved > 0.0 && moved < 2.0, "{moved}");
        let joined = early.replace("add a b", "cat a b");
        assert!(distance(early, &joined) >= 1.0);
        let projected = "in 3x8x8 | conv 8 k3 | a: relu | conv 8 k3 | b: relu | c: conv 8 k1 (a) \
                         | add b c | relu | conv 8 k3 | relu | gap | dense 4";
        assert_eq!(distance(early, projected), 1.0);
    }

    /// Every kind of layer and join, by chains of random morphs.
    fn many() -> Vec<Architecture> {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let image = morph::Shape::Image {
            channels: 3,
            height: 16,
            width: 16,
        };
        let limits = crate::Limits::default();
        let setting = crate::Setting::default();
        let seeds = morph::seeds::image_seeds(image, 4);
        let draw = |index: usize| {
            let (_, start) = &seeds[index % seeds.len()];
            crate::chain::Chain::draw(start, &setting, &limits, index / 4, &mut rng)
                .map(|chain| chain.architecture)
        };
        (0..24).filter_map(draw).collect()
    }

    #[test]
    fn it_is_a_distance() {
        let mut parts = Parts::default();
        let many = many();
        let profiles = many.iter().map(|one| Profile::of(one, &mut parts));
        let profiles: Vec<Profile> = profiles.collect();
        let distance = |a: &Profile, b: &Profile| a.distance(b, &parts);
        for a in &profiles {
            assert_eq!(distance(a, a), 0.0);
            for b in &profiles {
                let direct = distance(a, b);
                assert!((direct - distance(b, a)).abs() < 1e-4 && direct >= 0.0);
            }
        }
    }

    /// All alignments, one decision after the other.
    fn tried(one: &[Part], other: &[Part]) -> f64 {
        match (one, other) {
            ([], _) => other.iter().map(|part| part.cost).sum(),
            (_, []) => one.iter().map(|part| part.cost).sum(),
            ([a, rest @ ..], [b, others @ ..]) => (a.distance(b) + tried(rest, others))
                .min(a.cost + tried(rest, other))
                .min(b.cost + tried(one, others)),
        }
    }

    /// All matchings: the first path stays alone, or goes with any of the others.
    fn matched(one: &[SidePath], other: &[SidePath], parts: &Parts) -> f64 {
        let Some((first, rest)) = one.split_first() else {
            return other.iter().map(|path| path.cost).sum();
        };
        let alone = first.cost + matched(rest, other, parts);
        let with = (0..other.len()).map(|place| {
            let mut others = other.to_vec();
            let partner = others.remove(place);
            first.distance(&partner, parts) + matched(rest, &others, parts)
        });
        with.fold(alone, f64::min)
    }

    #[test]
    fn the_matching_of_side_paths_is_the_cheapest_of_all() {
        let mut parts = Parts::default();
        let many = many();
        let sides = many.iter().map(|one| Profile::of(one, &mut parts).sides);
        let sides: Vec<Vec<SidePath>> = sides.filter(|sides| !sides.is_empty()).collect();
        let mut several = 0;
        for (one, other) in sides.iter().flat_map(|a| sides.iter().map(move |b| (a, b))) {
            let [one, other] = [one, other].map(|sides| &sides[..sides.len().min(5)]);
            let (found, slow) = (matching(one, other, &parts), matched(one, other, &parts));
            assert!((found - slow).abs() < 1e-5, "{found}, not {slow}");
            several += usize::from(one.len() > 1 && other.len() > 1 && one != other);
        }
        assert!(
            several > 10,
            "only {several} pairs have something to choose"
        );
    }

    #[test]
    fn the_alignment_is_the_cheapest_of_all() {
        let mut parts = Parts::default();
        let many = many();
        let profiles = many.iter().map(|one| Profile::of(one, &mut parts).main);
        let mains: Vec<Vec<PartId>> = profiles.collect();
        for pair in mains.windows(2) {
            let ids = [&pair[0], &pair[1]].map(|main| &main[..main.len().min(7)]);
            let layers = ids
                .map(|ids| -> Vec<Part> { ids.iter().map(|id| parts.met[*id as usize]).collect() });
            let difference = parts.alignment(ids[0], ids[1]) - tried(&layers[0], &layers[1]);
            assert!(difference.abs() < 1e-5);
        }
    }
}
