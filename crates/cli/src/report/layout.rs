//! Where the layers of a network stand in a drawing, and along which ways its connections run.
//!
//! A layer's rank is the longest way to it from the input. The longest way through the network
//! stands in column 0, branches in the columns beside it. A connection over several ranks runs down
//! its own column if it starts in a branch, otherwise in a lane on the other side. Only places are
//! decided here; nothing is drawn, and no pixel is known.

use std::{cmp::Reverse, collections::BTreeSet};

use morph::{Architecture, Layer, LayerId};

/// Places of all layers and ways of all connections.
#[derive(Debug)]
pub(crate) struct Layout {
    /// By layer.
    pub(crate) places: Vec<Place>,
    /// Every connection.
    pub(crate) links: Vec<Link>,
    /// For each rank: whether it stands close below the one before, as one block with it.
    pub(crate) close: Vec<bool>,
    /// Number of columns.
    pub(crate) columns: usize,
    /// Number of lanes.
    pub(crate) lanes: usize,
}

/// Where a layer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) rank: usize,
    pub(crate) column: usize,
}

/// A connection between two layers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) from: LayerId,
    pub(crate) to: LayerId,
    pub(crate) way: Way,
}

/// Along which way a connection runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the next rank.
    Next,
    /// Down its own column, then across.
    Column,
    /// Through a lane beside the columns.
    Lane(usize),
}

/// Decides all places and ways; `O((layers + connections)·width)`.
pub(crate) fn lay_out(architecture: &Architecture) -> Layout {
    let ranks = ranks(architecture);
    let places = places(architecture, &ranks);
    let links = links(architecture, &places);
    let lane = |link: &Link| match link.way {
        Way::Lane(lane) => lane + 1,
        _ => 0,
    };
    Layout {
        close: close(architecture, &places),
        columns: places
            .iter()
            .map(|place| place.column + 1)
            .max()
            .unwrap_or(1),
        lanes: links.iter().map(lane).max().unwrap_or(0),
        places,
        links,
    }
}

/// Length of the longest way to each layer.
fn ranks(architecture: &Architecture) -> Vec<usize> {
    let mut ranks = vec![0; architecture.nodes().len()];
    for id in architecture.ids() {
        let above = architecture
            .inputs(id)
            .iter()
            .map(|input| ranks[input.index()] + 1)
            .max();
        ranks[id.index()] = above.unwrap_or(0);
    }
    ranks
}

/// Length of the longest way from each layer to the output.
fn tails(architecture: &Architecture) -> Vec<usize> {
    let mut tails = vec![0; architecture.nodes().len()];
    for id in architecture.ids().rev() {
        for input in architecture.inputs(id) {
            tails[input.index()] = tails[input.index()].max(tails[id.index()] + 1);
        }
    }
    tails
}

fn places(architecture: &Architecture, ranks: &[usize]) -> Vec<Place> {
    let tails = tails(architecture);
    let mut order: Vec<LayerId> = architecture.ids().collect();
    // Of one rank, the layer on the longest way chooses its column first.
    order.sort_by_key(|id| (ranks[id.index()], Reverse(tails[id.index()]), *id));
    let mut places = vec![Place { rank: 0, column: 0 }; ranks.len()];
    let mut taken: BTreeSet<(usize, usize)> = BTreeSet::new();
    for id in order {
        let rank = ranks[id.index()];
        let consumers = architecture.consumers(id);
        let last = consumers
            .iter()
            .map(|consumer| ranks[consumer.index()])
            .max()
            .unwrap_or(rank);
        // A branch keeps its column until its result is used; column 0 has lanes for that.
        let needed = |column: usize| {
            rank..if column == 0 {
                rank + 1
            } else {
                last.max(rank + 1)
            }
        };
        let is_free =
            |column: &usize| needed(*column).all(|rank| !taken.contains(&(rank, *column)));
        let above = architecture
            .inputs(id)
            .first()
            .map_or(0, |input| places[input.index()].column);
        let column = std::iter::once(above)
            .chain(0..)
            .find(is_free)
            .unwrap_or(above);
        taken.extend(needed(column).map(|rank| (rank, column)));
        places[id.index()] = Place { rank, column };
    }
    places
}

fn links(architecture: &Architecture, places: &[Place]) -> Vec<Link> {
    let mut links = Vec::new();
    for to in architecture.ids() {
        for from in architecture.inputs(to) {
            let (above, below) = (places[from.index()], places[to.index()]);
            let way = match (below.rank - above.rank, above.column) {
                (1, _) => Way::Next,
                (_, 0) => Way::Lane(0),
                _ => Way::Column,
            };
            links.push(Link {
                from: *from,
                to,
                way,
            });
        }
    }
    choose_lanes(&mut links, places);
    links
}

/// Short connections take the inner lanes; two in one lane never run beside each other.
fn choose_lanes(links: &mut [Link], places: &[Place]) {
    let mut in_lanes: Vec<(usize, usize, &mut Link)> = links
        .iter_mut()
        .filter(|link| matches!(link.way, Way::Lane(_)))
        .map(|link| {
            (
                places[link.from.index()].rank,
                places[link.to.index()].rank,
                link,
            )
        })
        .collect();
    in_lanes.sort_by_key(|(start, end, _)| (end - start, *start));
    let mut used: Vec<Vec<(usize, usize)>> = Vec::new();
    for (start, end, link) in in_lanes {
        let is_free = |lane: &Vec<(usize, usize)>| {
            lane.iter()
                .all(|(other_start, other_end)| end <= *other_start || start >= *other_end)
        };
        let lane = used.iter().position(is_free).unwrap_or(used.len());
        if lane == used.len() {
            used.push(Vec::new());
        }
        used[lane].push((start, end));
        link.way = Way::Lane(lane);
    }
}

/// Which ranks hold nothing but layers that finish the one above: norm, activation, dropout.
fn close(architecture: &Architecture, places: &[Place]) -> Vec<bool> {
    let ranks = places.iter().map(|place| place.rank + 1).max().unwrap_or(0);
    let mut close = vec![true; ranks];
    close[..1].fill(false);
    for id in architecture.ids() {
        let place = places[id.index()];
        let finishes = architecture.inputs(id).first().is_some_and(|input| {
            finishes_its_input(architecture.layer(id))
                && architecture.consumers(*input).len() == 1
                && !matches!(architecture.layer(*input), Layer::Input { .. })
                && places[input.index()].column == place.column
        });
        close[place.rank] &= finishes;
    }
    close
}

fn finishes_its_input(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::BatchNorm
            | Layer::LayerNorm
            | Layer::Relu
            | Layer::Gelu
            | Layer::Silu
            | Layer::Sigmoid
            | Layer::Dropout { .. }
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laid_out(notation: &str) -> Layout {
        lay_out(&notation.parse().expect("the test's notation is right"))
    }

    #[test]
    fn every_layer_stands_below_its_inputs_and_on_no_other() {
        let text = "in 3x8x8 | a: conv 8 k3 | b: conv 4 k1 (a) | c: conv 4 k3 (a) | d: bn | \
                    cat b d a | gap | dense 4";
        let architecture: Architecture = text.parse().expect("the test's notation is right");
        let layout = lay_out(&architecture);
        let mut seen = BTreeSet::new();
        for id in architecture.ids() {
            let place = layout.places[id.index()];
            assert!(
                seen.insert((place.rank, place.column)),
                "{id} stands on another: {layout:?}"
            );
            for input in architecture.inputs(id) {
                assert!(
                    layout.places[input.index()].rank < place.rank,
                    "{id} above {input}"
                );
            }
        }
        assert_eq!(layout.columns, 2);
    }

    #[test]
    fn a_chain_is_one_column_without_lanes_and_closes_its_blocks() {
        let layout = laid_out("in 1x8x8 | conv 4 k3 | bn | relu | gap | dense 10");
        assert_eq!((layout.columns, layout.lanes), (1, 0));
        assert_eq!(
            layout.close,
            [false, false, true, true, false, false, false]
        );
        assert!(layout.links.iter().all(|link| link.way == Way::Next));
    }

    #[test]
    fn skips_that_run_beside_each_other_have_lanes_of_their_own() {
        let layout = laid_out(
            "in 8 | a: dense 8 | relu | b: dense 8 | c: add a b | relu | d: dense 8 | e: add c d \
             | add a e | dense 2",
        );
        let lanes: Vec<(usize, usize)> = layout
            .links
            .iter()
            .filter_map(|link| match link.way {
                Way::Lane(lane) => Some((link.from.index(), lane)),
                _ => None,
            })
            .collect();
        assert_eq!(
            lanes,
            [(1, 0), (4, 0), (1, 1)],
            "one behind the other share a lane"
        );
        assert_eq!((layout.columns, layout.lanes), (1, 2));
    }

    #[test]
    fn a_projected_skip_keeps_a_column_of_its_own_until_it_is_added() {
        let layout = laid_out(
            "in 3x8x8 | a: conv 8 k3 | conv 16 k3 s2 | bn | relu | b: conv 16 k3 | \
             c: conv 16 k1 s2 (a) | add b c | gap | dense 4",
        );
        assert_eq!(layout.places[6], Place { rank: 2, column: 1 });
        assert_eq!(layout.places[7].column, 0);
        let way = layout
            .links
            .iter()
            .find(|link| link.from.index() == 6)
            .map(|link| link.way);
        assert_eq!(way, Some(Way::Column));
    }
}
