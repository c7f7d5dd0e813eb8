//! The page of nodes: who works, who is silent, and who gets no more work.

use std::cmp::Reverse;

use maud::{Markup, html};
use study::ledger::Node;

use super::{
    page::{Tab, ago, framed, trial_link, wide},
    row::Row,
    seen::Seen,
};
use crate::report::thousands;

/// Of very many nodes, so many are listed: those at work first, then those that came last.
const LISTED: usize = 500;

pub(super) fn page(seen: &Seen) -> String {
    let body = html! {
        h1 { "Nodes" }
        div data-part="nodes" { (nodes(seen)) }
        p.quiet {
            "A node is heard of several times a minute. What one that is silent had begun is given to others after "
            (format!("{:.0}", seen.lease_secs)) " seconds; `lehr explain --waiting` says why none is started."
        }
    };
    framed(seen, Tab::Nodes, "Nodes", &body)
}

fn nodes(seen: &Seen) -> Markup {
    let alive = seen.alive().count() as u64;
    let all = seen.nodes.len();
    html! {
        p.quiet { (thousands(alive)) " at work, of " (thousands(all as u64)) " that ever came." }
        @if all > 0 {
            (wide("Nodes", &table(seen)))
            @if all > LISTED { p.quiet { (thousands((all - LISTED) as u64)) " more are not listed." } }
        }
    }
}

fn table(seen: &Seen) -> Markup {
    let mut nodes: Vec<&Node> = seen.nodes.iter().collect();
    nodes.sort_by_key(|node| (!seen.is_alive(node), Reverse(node.number)));
    let epoch = match seen.networks {
        1 => "trains (epoch)".to_string(),
        networks => format!("trains (epoch of the first of {networks} networks)"),
    };
    html! {
        table {
            thead {
                tr {
                    th { "node" }
                    th { "machine" }
                    th { "state" }
                    th.number { "slots" }
                    th.number { "last heard of" }
                    th.number { "crashes in a row" }
                    th { (epoch) }
                }
            }
            tbody { @for node in nodes.into_iter().take(LISTED) { (line(seen, node)) } }
        }
    }
}

fn line(seen: &Seen, node: &Node) -> Markup {
    html! {
        tr {
            td { (node.worker) }
            td { (node.host) }
            td { (state(seen, node)) }
            td.number { (node.slots) }
            td.number { (ago(seen, node.seen_at)) " ago" }
            td.number { (node.crashes) }
            td {
                @for row in trained_by(seen, node) {
                    (trial_link(row.id)) " "
                    @if let Some(progress) = seen.progress_of(row) {
                        span.quiet { "(" (progress.epoch) " of " (progress.epochs) ") " }
                    }
                }
            }
        }
    }
}

fn trained_by<'a>(seen: &'a Seen, node: &'a Node) -> impl Iterator<Item = &'a Row> {
    let is_its = |row: &&Row| {
        let training = row.training.as_ref();
        training.is_some_and(|training| training.worker == node.worker)
    };
    seen.under_way.iter().filter(is_its)
}

fn state(seen: &Seen, node: &Node) -> &'static str {
    match () {
        () if node.has_left && node.is_quarantined() => "gets no more work: its trainers died",
        () if node.has_left => "has left",
        () if !seen.is_alive(node) => "silent",
        () if node.is_quarantined() => "its trainers die",
        () if node.is_exhausted => "finds nothing new to propose",
        () => "at work",
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::seen::tests::{node, running, seen},
        *,
    };

    #[test]
    fn nodes_at_work_come_before_those_that_are_silent_and_say_what_they_train() {
        let nodes = vec![
            node(1, 2.0, (5, 2)),
            node(2, 900.0, (6, 7)),
            node(3, 900.0, (8, 1)),
        ];
        let page = page(&seen(&[running(5, 1)], nodes));
        let place = |words: &str| {
            page.find(words)
                .unwrap_or_else(|| panic!("`{words}` is not in {page}"))
        };
        assert!(place("node-1") < place("node-3") && place("node-3") < place("node-2"));
        assert!(place("1 at work, of 3 that ever came") < place("node-1"));
        assert!(
            page.contains("(2 of 50)") && !page.contains("7 of 50"),
            "{page}"
        );
    }
}
