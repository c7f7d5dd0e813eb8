//! The page of nodes: who works, who is silent, and who gets no more work.

use maud::{Markup, html};
use study::ledger::Node;

use super::{
    page::{Pace, Tab, ago, framed, trial_link},
    row::Row,
    watch::Seen,
};
use crate::report::thousands;

/// Of very many nodes, so many are listed: those that came last.
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
    framed(seen, Tab::Nodes, Pace::Live, "Nodes", &body)
}

fn nodes(seen: &Seen) -> Markup {
    let alive = seen.alive().count() as u64;
    let all = seen.nodes.len();
    html! {
        p.quiet { (thousands(alive)) " at work, of " (thousands(all as u64)) " that ever came." }
        @if all > 0 {
            div.scroll {
                table {
                    thead {
                        tr {
                            th { "node" }
                            th { "machine" }
                            th { "state" }
                            th.number { "trainers" }
                            th.number { "heard of" }
                            th.number { "trainers died in a row" }
                            th { "trains (epoch)" }
                        }
                    }
                    tbody {
                        @for node in seen.nodes.iter().rev().take(LISTED) { (line(seen, node)) }
                    }
                }
            }
            @if all > LISTED { p.quiet { (thousands((all - LISTED) as u64)) " that came earlier are not listed." } }
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
                    @if let Some(progress) = seen.progress_of(row.id) {
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
        () if node.has_left => "has left",
        () if node.is_quarantined() => "gets no more work: its trainers die",
        () if !node.is_alive(seen.lease_secs, seen.standing.at) => "silent",
        () if node.is_exhausted => "finds nothing new to propose",
        () => "at work",
    }
}
