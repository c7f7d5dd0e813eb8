//! The drawing of an architecture: a box for each layer, a line for each connection.

use maud::{Markup, html};
use morph::{Architecture, Layer, LayerId};

use super::{
    frame::px,
    layout::{Layout, Link, Way, lay_out},
    parts::thousands,
};

const BOX_WIDTH: f64 = 268.0;
const BOX_HEIGHT: f64 = 25.0;
const COLUMN_GAP: f64 = 36.0;
/// From the left edge of a box to the end of its shape.
const SHAPE_END: f64 = 186.0;
const LANE_WIDTH: f64 = 14.0;
/// Between the innermost lane and column 0.
const LANE_MARGIN: f64 = 10.0;
/// Between ranks that a line must cross.
const RANK_GAP: f64 = 18.0;
/// Between ranks that form one block.
const CLOSE_GAP: f64 = 1.0;
const MARGIN: f64 = 8.0;
/// Radius of a line's bends.
const BEND: f64 = 7.0;

/// Where things are in pixels.
struct Drawing<'a> {
    architecture: &'a Architecture,
    layout: Layout,
    /// Upper edge of each rank.
    tops: Vec<f64>,
    /// Left edge of column 0.
    left: f64,
}

/// Draws a network from its input at the top to its output at the bottom.
pub(crate) fn architecture_graph(architecture: &Architecture) -> Markup {
    let layout = lay_out(architecture);
    let mut tops = Vec::with_capacity(layout.close.len());
    let mut y = MARGIN;
    for (rank, close) in layout.close.iter().enumerate() {
        if rank > 0 {
            y += BOX_HEIGHT + if *close { CLOSE_GAP } else { RANK_GAP };
        }
        tops.push(y);
    }
    let lanes = layout.lanes as f64 * LANE_WIDTH;
    let left = MARGIN
        + if layout.lanes > 0 {
            lanes + LANE_MARGIN
        } else {
            0.0
        };
    let columns = layout.columns as f64;
    let width = px(left + columns * (BOX_WIDTH + COLUMN_GAP) - COLUMN_GAP + MARGIN);
    let height = px(y + BOX_HEIGHT + MARGIN);
    let view = format!("0 0 {width} {height}");
    let drawing = Drawing {
        architecture,
        layout,
        tops,
        left,
    };
    html! {
        svg.graph width=(width) height=(height) viewBox=(view) role="img" aria-label="Its layers" {
            @for link in &drawing.layout.links { (drawing.line(link)) }
            @for id in architecture.ids() { (drawing.layer(id)) }
        }
    }
}

impl Drawing<'_> {
    fn x(&self, id: LayerId) -> f64 {
        let column = self.layout.places[id.index()].column as f64;
        self.left + column * (BOX_WIDTH + COLUMN_GAP)
    }

    fn top(&self, id: LayerId) -> f64 {
        self.tops[self.layout.places[id.index()].rank]
    }

    fn layer(&self, id: LayerId) -> Markup {
        let layer = self.architecture.layer(id);
        let parameters = match self.architecture.layer_cost(id).parameters {
            0 => String::new(),
            count => thousands(count),
        };
        let shape = self.architecture.shape(id).to_string().replace('x', "×");
        let (x, y) = (self.x(id), px(self.top(id)));
        let (text_y, shape_x) = (px(self.top(id) + BOX_HEIGHT / 2.0 + 4.0), px(x + SHAPE_END));
        let parameters_x = px(x + BOX_WIDTH - 8.0);
        html! {
            g class=(format!("layer {}", family(layer))) {
                title { (self.said(id)) }
                rect x=(px(x)) y=(y) width=(BOX_WIDTH) height=(BOX_HEIGHT) rx="3" {}
                rect.stripe x=(px(x)) y=(y) width="5" height=(BOX_HEIGHT) rx="2" {}
                text.kind x=(px(x + 14.0)) y=(text_y) { (layer.to_string()) }
                text.shape x=(shape_x) y=(text_y) text-anchor="end" { (shape) }
                text.parameters x=(parameters_x) y=(text_y) text-anchor="end" { (parameters) }
            }
        }
    }

    /// What appears where one points at a layer.
    fn said(&self, id: LayerId) -> String {
        let cost = self.architecture.layer_cost(id);
        format!(
            "layer {id}: {}, output {}, {} parameters, {} operations per example",
            self.architecture.layer(id),
            self.architecture.shape(id),
            thousands(cost.parameters),
            thousands(cost.flops)
        )
    }

    fn line(&self, link: &Link) -> Markup {
        let (from, to) = (
            self.layout.places[link.from.index()],
            self.layout.places[link.to.index()],
        );
        let path = match link.way {
            Way::Next if from.column == to.column => {
                if self.layout.close[to.rank] {
                    return html! {};
                }
                let x = self.x(link.to) + BOX_WIDTH / 2.0;
                format!(
                    "M{} {}V{}",
                    px(x),
                    px(self.top(link.from) + BOX_HEIGHT),
                    px(self.top(link.to))
                )
            }
            Way::Next => self.across(link),
            Way::Column => self.down_its_column(link),
            Way::Lane(lane) => self.through_lane(link, lane),
        };
        html! { path.link d=(path) { title { (link.from) " → " (link.to) } } }
    }

    /// Down, across in the gap between the ranks, and down into a box of another column.
    fn across(&self, link: &Link) -> String {
        let (x, y) = (
            self.x(link.from) + BOX_WIDTH / 2.0,
            self.top(link.from) + BOX_HEIGHT,
        );
        let (x_end, y_end) = (self.x(link.to) + BOX_WIDTH / 2.0, self.top(link.to));
        let bend = if x_end > x { BEND } else { -BEND };
        format!(
            "M{} {}V{}q0 {BEND} {bend} {BEND}H{}q{bend} 0 {bend} {BEND}V{}",
            px(x),
            px(y),
            px((y + y_end) / 2.0 - BEND),
            px(x_end - bend),
            px(y_end)
        )
    }

    /// Straight down, then into the side of the box, or into its top if it is in the same column.
    fn down_its_column(&self, link: &Link) -> String {
        let (x, y) = (
            self.x(link.from) + BOX_WIDTH / 2.0,
            self.top(link.from) + BOX_HEIGHT,
        );
        if self.x(link.from) == self.x(link.to) {
            return format!("M{} {}V{}", px(x), px(y), px(self.top(link.to)));
        }
        let y_end = self.top(link.to) + BOX_HEIGHT / 2.0;
        let (x_end, towards) = match self.x(link.to) < x {
            true => (self.x(link.to) + BOX_WIDTH, -1.0),
            false => (self.x(link.to), 1.0),
        };
        format!(
            "M{} {}V{}q0 {BEND} {} {BEND}H{}",
            px(x),
            px(y),
            px(y_end - BEND),
            px(towards * BEND),
            px(x_end)
        )
    }

    /// Out of the left side, down a lane, into the left side.
    fn through_lane(&self, link: &Link, lane: usize) -> String {
        let x_lane = self.left - LANE_MARGIN - (lane as f64 + 0.5) * LANE_WIDTH;
        let y = self.top(link.from) + BOX_HEIGHT * 0.7;
        // The connection over the lanes' lines ends a little higher than the next one starts.
        let y_end = self.top(link.to) + BOX_HEIGHT * 0.3;
        format!(
            "M{} {}H{}q-{BEND} 0 -{BEND} {BEND}V{}q0 {BEND} {BEND} {BEND}H{}",
            px(self.x(link.from)),
            px(y),
            px(x_lane + BEND),
            px(y_end - BEND),
            px(self.x(link.to))
        )
    }
}

/// The layers' families, by colour.
fn family(layer: &Layer) -> &'static str {
    match layer {
        Layer::Input { .. } | Layer::Output => "end",
        Layer::Dense { .. }
        | Layer::Conv { .. }
        | Layer::DepthwiseConv { .. }
        | Layer::Embedding { .. }
        | Layer::Periodic { .. }
        | Layer::Position
        | Layer::Attention { .. } => "learned",
        Layer::BatchNorm | Layer::LayerNorm => "norm",
        Layer::Relu | Layer::Gelu | Layer::Silu | Layer::Sigmoid | Layer::Dropout { .. } => {
            "pointwise"
        }
        Layer::MaxPool { .. } | Layer::AvgPool { .. } | Layer::GlobalAvgPool | Layer::Flatten => {
            "pool"
        }
        Layer::Add | Layer::Multiply | Layer::Concat | Layer::Slice { .. } => "join",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(notation: &str) -> String {
        let architecture = notation.parse().expect("the test's notation is right");
        architecture_graph(&architecture).into_string()
    }

    #[test]
    fn every_layer_is_a_box_with_its_shape_and_parameters() {
        let graph = drawn(
            "in 3x8x8 | conv 16 k3 s2 | bn | relu | maxpool k2 | gap | dropout 0.2 | dense 10",
        );
        for said in [
            "conv 16 k3 s2",
            "maxpool k2",
            "dropout 0.2",
            "dense 10",
            "16×4×4",
            ">448<",
        ] {
            assert!(graph.contains(said), "{said} is missing in {graph}");
        }
        assert_eq!(graph.matches("class=\"layer").count(), 9);
    }

    #[test]
    fn every_connection_over_a_gap_is_a_line() {
        let graph = drawn("in 8 | dense 8 | a: relu | b: dense 8 | add a b | dense 2");
        // in–dense, relu–dense, relu–add, dense–add, add–dense, dense–out; dense–relu touch.
        assert_eq!(graph.matches("class=\"link\"").count(), 6);
    }
}
