//! The page of all trials: by state, by words, in an order, a hundred at a time.

use maud::{Markup, html};

use super::{
    page::{Tab, count, framed, trial_table},
    query::{Order, PAGE, Wish},
    row::{Row, State},
    seen::Seen,
};
use crate::report::thousands;

pub(super) fn page(seen: &Seen, wish: &Wish) -> String {
    let mut rows: Vec<&Row> = asked(seen, wish).collect();
    sort(&mut rows, wish.order);
    let pages = rows.len().div_ceil(PAGE).max(1);
    // A page that is no more is the last one.
    let wish = wish.on_page(wish.page.min(pages));
    let shown: Vec<&Row> = rows
        .iter()
        .copied()
        .skip((wish.page - 1) * PAGE)
        .take(PAGE)
        .collect();
    let body = html! {
        h1 { "Trials" }
        (form(&wish))
        div data-part="trials" {
            p.quiet { (counted(rows.len(), seen)) }
            @if !shown.is_empty() { (trial_table(seen, "Trials", &shown)) }
            (turning(&wish, pages))
        }
    };
    framed(seen, Tab::Trials, "Trials", &body)
}

/// The trials that were asked for, in no order.
fn asked<'a>(seen: &'a Seen, wish: &'a Wish) -> impl Iterator<Item = &'a Row> {
    seen.rows().filter(|row| {
        let is_state = wish.state.is_none_or(|state| row.state == state);
        is_state && row.has(&wish.words)
    })
}

fn sort(rows: &mut [&Row], order: Order) {
    match order {
        Order::Best => rows.sort_by(|a, b| Row::by_standing(a, b)),
        Order::Newest => rows.sort_by_key(|row| std::cmp::Reverse(row.id)),
        Order::Longest => {
            let seconds = |row: &Row| row.seconds.unwrap_or(-1.0);
            rows.sort_by(|a, b| seconds(b).total_cmp(&seconds(a)).then(a.id.cmp(&b.id)));
        }
        Order::Smallest => rows.sort_by_key(|row| (row.parameters, row.id)),
    }
}

fn counted(asked: usize, seen: &Seen) -> String {
    let all = seen.rows().count();
    let (asked, trials) = (asked as u64, count(all as u64, "trial"));
    let counted = match asked {
        0 => format!("None of {trials}."),
        asked if asked == all as u64 => format!("All {trials}."),
        asked => format!("{} of {trials}.", thousands(asked)),
    };
    match seen.not_known() {
        0 => counted,
        more => format!(
            "{counted} {} more that wait or run are not listed.",
            thousands(more)
        ),
    }
}

/// What can be asked for. It is not replaced while somebody may be writing in it.
fn form(wish: &Wish) -> Markup {
    html! {
        form method="get" action="/trials" {
            label {
                "State "
                select name="state" {
                    option value="all" { "all" }
                    @for state in State::ALL {
                        option value=(state.name()) selected[wish.state == Some(state)] { (state.name()) }
                    }
                }
            }
            label {
                "Order "
                select name="order" {
                    @for order in Order::ALL {
                        option value=(order.name()) selected[wish.order == order] { (order.name()) }
                    }
                }
            }
            label {
                "Search "
                input type="search" name="words" value=(wish.words.join(" ")) placeholder="conv skip 17"
                    title="In the network's line or the origin, or a trial's number";
            }
            button { "Show" }
        }
    }
}

fn turning(wish: &Wish, pages: usize) -> Markup {
    html! {
        @if pages > 1 {
            nav.turning aria-label="Pages of trials" {
                @if wish.page > 1 { a href=(wish.on_page(wish.page - 1).address()) rel="prev" { "Previous" } }
                span { "page " (wish.page) " of " (pages) }
                @if wish.page < pages { a href=(wish.on_page(wish.page + 1).address()) rel="next" { "Next" } }
            }
        }
    }
}
