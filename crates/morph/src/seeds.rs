//! Where an exploration starts: small networks of proven kinds, fitted to the shape of the data.
//!
//! They are meant to be decent at once and cheap to train on a CPU (at most
//! [`PARAMETERS_MAX`] parameters); growing is the search's work. Written in the notation, so that
//! what is tried first can be read here.

use crate::{architecture::Architecture, shape::Shape};

/// Larger seeds are left out, except the first of each list and the simple ones of tables.
pub const PARAMETERS_MAX: u64 = 300_000;

/// Of a wide table the first layer is narrower, so that few enough parameters are left, but never narrower than
/// this: below, rectified values say too little. So with 37,500 features and more a seed may be larger.
const FIRST_WIDTH_MIN: u32 = 8;

/// The seeds of tables that are there at any width: the linear one, and two with hidden layers, because no morph
/// makes a hidden layer of a linear model with thousands of inputs.
const TABLE_SEEDS_KEPT: usize = 3;

/// Flattened feature maps with more values would make the dense layer behind them the whole
/// network.
const FLATTENED_MAX: u32 = 2_048;

/// Networks for rows of `features` values, the simplest first. Two or more have hidden layers, however wide the table.
///
/// Empty if `features` or `outputs` is 0 or beyond [`Shape::EXTENT_MAX`].
pub fn table_seeds(features: u32, outputs: u32) -> Vec<(&'static str, Architecture)> {
    let input = Shape::Flat { features };
    let mlp = |width: u32| format!("| dense {width} | relu ");
    let normed = |width: u32| {
        let second = width.min(64);
        format!("| dense {width} | bn | relu | dense {second} | bn | relu ")
    };
    let seeds = [
        ("linear", String::new()),
        ("mlp", narrowed(input, outputs, 64, mlp)),
        ("normed mlp", narrowed(input, outputs, 128, normed)),
        (
            "periodic mlp",
            "| periodic 8 | dense 128 | bn | relu | dense 64 | bn | relu ".to_owned(),
        ),
        (
            "residual mlp",
            "| dense 96 | bn | a: relu | dense 96 | bn | relu | dropout 0.1 | b: dense 96 \
             | c: add a b | bn | relu | dense 96 | bn | relu | dropout 0.1 | d: dense 96 \
             | add c d | bn | relu "
                .to_owned(),
        ),
        (
            "wide mlp",
            "| dense 256 | bn | relu | dropout 0.2 | dense 256 | bn | relu | dropout 0.2 "
                .to_owned(),
        ),
    ];
    affordable(input, outputs, TABLE_SEEDS_KEPT, seeds)
}

/// Networks for images, the plain convolutional one first.
///
/// They fit any height and width from 1: an image is made smaller by pools where it is wide and
/// high enough for them, by strides where it is only one of both, and not at all where it is small.
/// Empty if an extent or `outputs` is 0 or beyond [`Shape::EXTENT_MAX`], or `input` is no image.
pub fn image_seeds(input: Shape, outputs: u32) -> Vec<(&'static str, Architecture)> {
    let Shape::Image { height, width, .. } = input else {
        return Vec::new();
    };
    if !input.is_legal() {
        return Vec::new();
    }
    let sketch = || Sketch {
        body: String::new(),
        height,
        width,
    };
    let mut seeds = vec![
        ("conv net", plain(sketch())),
        ("small conv net", small(sketch())),
        ("residual conv net", residual(sketch())),
        ("depthwise conv net", depthwise(sketch())),
    ];
    seeds.extend(flattened(sketch()).map(|body| ("flattened conv net", body)));
    affordable(input, outputs, 1, seeds)
}

/// Networks for series, the fully convolutional one first.
///
/// They fit any length from 1: long series are made shorter early. Empty if an extent or `outputs` is 0 or
/// beyond [`Shape::EXTENT_MAX`], or `input` is no series.
///
/// # Source
/// The first and the third follow the networks that were best over many series in Wang, Yan & Oates 2017
/// (arXiv:1611.06455), smaller; the fourth Bai, Kolter & Koltun 2018 (arXiv:1803.01271).
pub fn series_seeds(input: Shape, outputs: u32) -> Vec<(&'static str, Architecture)> {
    let Shape::Sequence { channels, length } = input else {
        return Vec::new();
    };
    if !input.is_legal() {
        return Vec::new();
    }
    let (stride, pool) = shortening(length);
    let mut seeds = vec![
        (
            "conv net",
            format!(
                "| conv 32 k7{stride} | bn | relu {pool}| conv 64 k5 | bn | relu | conv 32 k3 | bn | relu \
                 | gap "
            ),
        ),
        (
            "small conv net",
            format!(
                "| conv 16 k5{stride} | bn | relu {pool}| conv 32 k3 | bn | relu | gap | dropout 0.1 "
            ),
        ),
        (
            "residual conv net",
            format!(
                "| conv 32 k7{stride} | bn | relu {pool}| a: conv 32 k5 | bn | relu | conv 32 k3 | b: bn \
                 | add a b | c: relu | conv 32 k5 | bn | relu | conv 32 k3 | d: bn | add c d | relu | gap "
            ),
        ),
        (
            "dilated conv net",
            format!(
                "| conv 32 k3{stride} | bn | relu {pool}| conv 32 k3 d2 | bn | relu | conv 32 k3 d4 | bn \
                 | relu | conv 32 k3 d8 | bn | relu | gap "
            ),
        ),
    ];
    if u64::from(length) * u64::from(channels) <= u64::from(FLATTENED_MAX) {
        let body = "| flatten | dense 96 | bn | relu | dropout 0.2 | dense 48 | bn | relu ";
        seeds.push(("flattened mlp", body.to_owned()));
        seeds.push(("flattened conv net", flattened_series(length)));
    }
    affordable(input, outputs, 1, seeds)
}

/// How a series is made shorter: by a stride of its first convolution, and by a pool behind it.
fn shortening(length: u32) -> (&'static str, &'static str) {
    match length {
        0..=160 => ("", ""),
        161..=320 => ("", "| maxpool k2 "),
        321..=1_200 => (" s2", "| maxpool k2 "),
        _ => (" s4", "| maxpool k4 "),
    }
}

fn flattened_series(length: u32) -> String {
    let mut body = String::from("| conv 16 k5 | bn | relu ");
    let mut length = length;
    while length > 48 {
        body.push_str("| maxpool k2 | conv 16 k5 | bn | relu ");
        length /= 2;
    }
    body.push_str("| flatten | dense 48 | bn | relu | dropout 0.2 ");
    body
}

/// Networks for texts of `length` words, each a code below `codes`; the mean of the words' vectors first.
///
/// Empty if one of them or `outputs` is 0 or beyond [`Shape::EXTENT_MAX`].
///
/// # Source
/// The first is Joulin et al. 2016 (arXiv:1607.01759) without pairs of words, the fourth Kim 2014
/// (arXiv:1408.5882) with means for maxima.
pub fn text_seeds(codes: u32, length: u32, outputs: u32) -> Vec<(&'static str, Architecture)> {
    // The vectors of the words are most of a network: the more words, the shorter.
    let width = if codes > PARAMETERS_MAX as u32 / 48 {
        24
    } else {
        32
    };
    let embed = format!("| embed {codes} {width}");
    let mut seeds = vec![
        ("mean of words", format!("{embed} | gap | dropout 0.3 ")),
        (
            "mlp of words",
            format!("{embed} | dropout 0.2 | gap | bn | dense 64 | relu | dropout 0.3 "),
        ),
        (
            "conv net",
            format!("{embed} | dropout 0.3 | conv 64 k3 | bn | relu | gap | dropout 0.3 "),
        ),
        (
            "conv net of three widths",
            format!(
                "{embed} | e: dropout 0.3 | a: conv 32 k1 | b: conv 32 k3 (e) | c: conv 32 k5 (e) \
                 | cat a b c | bn | relu | gap | dropout 0.4 "
            ),
        ),
        (
            "attention",
            format!(
                "{embed} | position | p: dropout 0.2 | ln | a: attention 4 | add p a | ln | gap \
                 | dropout 0.2 "
            ),
        ),
    ];
    if length >= 8 {
        let body = format!(
            "{embed} | dropout 0.3 | conv 48 k3 | bn | relu | maxpool k4 | conv 48 k3 | bn | relu \
             | gap | dropout 0.3 "
        );
        seeds.push(("deep conv net", body));
    }
    let input = Shape::Sequence {
        channels: 1,
        length,
    };
    affordable(input, outputs, 1, seeds)
}

/// Networks for texts of `length` characters, each of `channels` codes below `codes`. Few characters say anything
/// alone, so that all but one see several at once.
///
/// Empty if one of them or `outputs` is 0 or beyond [`Shape::EXTENT_MAX`].
///
/// # Source
/// Zhang et al. 2015 (arXiv:1509.01626), with fewer layers and means for maxima at the end.
pub fn spelling_seeds(
    codes: u32,
    (channels, length): (u32, u32),
    outputs: u32,
) -> Vec<(&'static str, Architecture)> {
    let width = match codes {
        ..=128 => 16,
        129..=6_000 => 32,
        _ => 24,
    };
    let embed = format!("| embed {codes} {width}");
    // Sequences of which each place means something are short.
    let fewer = if length > 128 { "| maxpool k4 " } else { "" };
    // From so many characters on, a name, and what is between the codes and the answer.
    let seeds = [
        (
            32,
            "deep conv net",
            "conv 64 k5 | bn | relu | maxpool k4 | conv 64 k3 | bn | relu | maxpool k4 | conv 96 k3 | bn | relu \
             | gap | dropout 0.3"
                .to_string(),
        ),
        (
            1,
            "conv net",
            "conv 64 k5 | bn | relu | maxpool k2 | conv 64 k5 | bn | relu | gap | dropout 0.3".to_string(),
        ),
        (1, "mean of characters", "gap".to_string()),
        (
            32,
            "attention",
            "conv 64 k5 | bn | relu | maxpool k4 | position | p: dropout 0.1 | ln | a: attention 4 | add p a | ln \
             | gap | dropout 0.2"
                .to_string(),
        ),
        (
            1,
            "conv net of three widths",
            "e: dropout 0.1 | a: conv 32 k3 | b: conv 48 k5 (e) | c: conv 48 k7 (e) | cat a b c | bn | relu | gap \
             | dropout 0.4"
                .to_string(),
        ),
        (
            1,
            "conv net of places",
            format!("conv 32 k5 | bn | relu {fewer}| flatten | dropout 0.3 | dense 64 | relu | dropout 0.3"),
        ),
    ];
    let seeds = seeds.into_iter().filter(|(least, ..)| length >= *least);
    let seeds = seeds.map(|(_, name, body)| (name, format!("{embed} | {body} ")));
    let input = Shape::Sequence { channels, length };
    affordable(input, outputs, 1, seeds)
}

/// The seeds that are small enough, and the first `kept` whatever they cost.
fn affordable(
    input: Shape,
    outputs: u32,
    kept: usize,
    seeds: impl IntoIterator<Item = (&'static str, String)>,
) -> Vec<(&'static str, Architecture)> {
    let read = |(name, body): (&'static str, String)| {
        let network = network(input, outputs, &body);
        network.map(|network| (name, network))
    };
    let mut seeds: Vec<_> = seeds.into_iter().filter_map(read).collect();
    let mut place = 0;
    seeds.retain(|(_, network)| {
        place += 1;
        place <= kept || is_affordable(network)
    });
    seeds
}

/// The statements of a network with the widest first layer that is affordable: as wide as wanted, or half as wide,
/// a quarter, and so on.
fn narrowed(input: Shape, outputs: u32, wanted: u32, body: impl Fn(u32) -> String) -> String {
    let narrower = std::iter::successors(Some(wanted), |width| Some(width / 2));
    let mut widths = narrower.take_while(|width| *width >= FIRST_WIDTH_MIN);
    let fits = |width: &u32| {
        let network = network(input, outputs, &body(*width));
        network.is_some_and(|network| is_affordable(&network))
    };
    let width = widths.find(fits).unwrap_or(FIRST_WIDTH_MIN);
    body(width)
}

/// `None` if these statements are no network for such examples.
fn network(input: Shape, outputs: u32, body: &str) -> Option<Architecture> {
    format!("in {input} {body}| dense {outputs}").parse().ok()
}

fn is_affordable(network: &Architecture) -> bool {
    network.cost().parameters <= PARAMETERS_MAX
}

fn plain(mut sketch: Sketch) -> String {
    sketch.stem(16);
    sketch.reduce_above(12);
    sketch.conv(32, 1);
    sketch.reduce_above(6);
    sketch.conv(64, 1);
    sketch.push("gap");
    sketch.push("dropout 0.1");
    sketch.body
}

fn small(mut sketch: Sketch) -> String {
    sketch.stem(8);
    sketch.reduce_above(12);
    sketch.conv(16, 1);
    sketch.reduce_above(6);
    sketch.conv(32, 1);
    sketch.push("gap");
    sketch.body
}

fn residual(mut sketch: Sketch) -> String {
    sketch.stem(16);
    sketch.reduce_above(20);
    sketch.residual_block(16, ["a", "b"]);
    sketch.conv(32, 2);
    sketch.residual_block(32, ["c", "d"]);
    sketch.push("gap");
    sketch.body
}

fn depthwise(mut sketch: Sketch) -> String {
    sketch.stem(16);
    sketch.reduce_above(20);
    for (channels, stride) in [(32, 1), (64, 2), (128, 1)] {
        sketch.push(&format!("dwconv k3 s{stride} | bn | relu"));
        sketch.push(&format!("conv {channels} k1 | bn | relu"));
        sketch.stride(stride);
    }
    sketch.push("gap");
    sketch.push("dropout 0.1");
    sketch.body
}

/// `None` where the flattened image would still be large.
fn flattened(mut sketch: Sketch) -> Option<String> {
    const CHANNELS: u32 = 16;
    sketch.stem(8);
    sketch.reduce_above(12);
    sketch.conv(CHANNELS, 1);
    sketch.reduce_above(6);
    sketch.push("flatten | dense 64 | bn | relu | dropout 0.2");
    let values = u64::from(sketch.height) * u64::from(sketch.width) * u64::from(CHANNELS);
    (values <= u64::from(FLATTENED_MAX)).then_some(sketch.body)
}

/// The statements so far, and how large the image is behind them.
struct Sketch {
    body: String,
    height: u32,
    width: u32,
}

impl Sketch {
    fn push(&mut self, statements: &str) {
        self.body.push_str("| ");
        self.body.push_str(statements);
        self.body.push(' ');
    }

    fn stride(&mut self, stride: u32) {
        self.height = self.height.div_ceil(stride);
        self.width = self.width.div_ceil(stride);
    }

    fn conv(&mut self, channels: u32, stride: u32) {
        self.push(&format!("conv {channels} k3 s{stride} | bn | relu"));
        self.stride(stride);
    }

    /// The first layer sees most pixels: on larger images it skips some.
    fn stem(&mut self, channels: u32) {
        let stride = match self.height.max(self.width) {
            0..=40 => 1,
            41..=80 => 2,
            _ => 4,
        };
        self.conv(channels, stride);
    }

    /// Halves or quarters an image whose longer side is above `extent`.
    fn reduce_above(&mut self, extent: u32) {
        let (longer, shorter) = (self.height.max(self.width), self.height.min(self.width));
        let factor = if longer > 3 * extent { 4 } else { 2 };
        if longer <= extent {
            return;
        }
        if shorter >= factor {
            self.push(&format!("maxpool k{factor}"));
            (self.height, self.width) = (self.height / factor, self.width / factor);
        } else {
            // Too narrow for a window; a stride needs no room.
            self.push(&format!("dwconv k3 s{factor}"));
            self.stride(factor);
        }
    }

    /// Two convolutions beside what the last statement so far puts out.
    fn residual_block(&mut self, channels: u32, [start, end]: [&str; 2]) {
        let last = self
            .body
            .rfind("| ")
            .expect("a block stands behind another layer")
            + 2;
        self.body.insert_str(last, &format!("{start}: "));
        self.push(&format!(
            "conv {channels} k3 | bn | relu | conv {channels} k3 | {end}: bn | add {start} {end} \
             | relu"
        ));
    }
}
