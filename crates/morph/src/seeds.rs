//! Where an exploration starts: small networks of proven kinds, fitted to the shape of the data.
//!
//! They are meant to be decent at once and cheap to train on a CPU (at most
//! [`PARAMETERS_MAX`] parameters); growing is the search's work. Written in the notation, so that
//! what is tried first can be read here.

use crate::{architecture::Architecture, shape::Shape};

/// Larger seeds are left out, except the first of each list.
pub const PARAMETERS_MAX: u64 = 300_000;

/// Flattened feature maps with more values would make the dense layer behind them the whole
/// network.
const FLATTENED_MAX: u32 = 2_048;

/// Networks for rows of `features` values, the simplest first.
///
/// Empty if `features` or `outputs` is 0 or beyond [`Shape::EXTENT_MAX`].
pub fn table_seeds(features: u32, outputs: u32) -> Vec<(&'static str, Architecture)> {
    let seeds = [
        ("linear", String::new()),
        ("mlp", "| dense 64 | relu ".to_owned()),
        (
            "normed mlp",
            "| dense 128 | bn | relu | dense 64 | bn | relu ".to_owned(),
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
    let input = Shape::Flat { features };
    affordable(seeds.map(|(name, body)| (name, input, body, outputs)))
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
    affordable(
        seeds
            .into_iter()
            .map(|(name, body)| (name, input, body, outputs)),
    )
}

fn affordable(
    seeds: impl IntoIterator<Item = (&'static str, Shape, String, u32)>,
) -> Vec<(&'static str, Architecture)> {
    let read = |(name, input, body, outputs): (_, Shape, String, u32)| {
        let architecture = format!("in {input} {body}| dense {outputs}").parse::<Architecture>();
        architecture.ok().map(|architecture| (name, architecture))
    };
    let mut seeds: Vec<_> = seeds.into_iter().filter_map(read).collect();
    let mut place = 0;
    seeds.retain(|(_, architecture)| {
        place += 1;
        place == 1 || architecture.cost().parameters <= PARAMETERS_MAX
    });
    seeds
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
