//! The rows that the winner gets most wrong: with their pictures if they are small ones, else with some cells.

use std::{collections::BTreeMap, fmt::Write};

use maud::{Markup, html};
use study::conclude::worst::{Picture, WorstRow};

use super::parts::score;

/// Levels of each channel that are drawn: what an eye tells apart at this size.
const LEVELS: u32 = 15;

/// Pictures whose pixels differ by less are drawn with more contrast.
const RANGE_MIN: u8 = 128;

/// Draws the worst rows, worst first.
pub(crate) fn worst(rows: &[WorstRow]) -> Markup {
    match rows.iter().any(|row| row.picture.is_some()) {
        true => pictures(rows),
        false => table(rows),
    }
}

fn pictures(rows: &[WorstRow]) -> Markup {
    html! {
        div.pictures {
            @for row in rows {
                figure {
                    @if let Some(picture) = &row.picture { (drawn(picture)) }
                    figcaption {
                        b { (row.truth) } ", said " b { (row.said) } br;
                        span.quiet {
                            @if let Some(probability) = row.probability {
                                "gave the truth " (percent(probability)) br;
                            }
                            @if let Some(name) = &row.name { (called(name)) }
                        }
                    }
                }
            }
        }
    }
}

/// A row that has but a number is called so.
fn called(name: &str) -> String {
    match name.parse::<u64>() {
        Ok(number) => format!("row {number}"),
        Err(_) => name.to_string(),
    }
}

fn percent(probability: f64) -> String {
    match probability * 100.0 {
        small if small < 0.1 => "less than 0.1 %".to_string(),
        other => format!("{other:.1} %"),
    }
}

fn table(rows: &[WorstRow]) -> Markup {
    let columns: Vec<&str> = rows
        .first()
        .map_or(&[][..], |row| &row.cells)
        .iter()
        .map(|(column, _)| column.as_str())
        .collect();
    let has_probability = rows.iter().any(|row| row.probability.is_some());
    html! {
        div.scroll {
            table {
                thead {
                    tr {
                        th.number { "row" }
                        th { "true" }
                        th { "said" }
                        @if has_probability { th.number { "gave the truth" } }
                        @else { th.number { "off by" } }
                        @for column in &columns { th { (column) } }
                    }
                }
                tbody {
                    @for row in rows {
                        tr {
                            td.number { (row.name.as_deref().unwrap_or("–")) }
                            td { (row.truth) }
                            td { (row.said) }
                            td.number {
                                @match row.probability {
                                    Some(probability) => (percent(probability)),
                                    None => (score(row.loss)),
                                }
                            }
                            @for (_, value) in &row.cells { td { (value) } }
                        }
                    }
                }
            }
        }
    }
}

/// A picture without a file: for each colour one path of all runs of pixels that have it.
fn drawn(picture: &Picture) -> Markup {
    let mut of_colour: BTreeMap<[u8; 3], String> = BTreeMap::new();
    let width = picture.width as usize;
    let darkest = picture.bytes.iter().copied().min().unwrap_or(0);
    let brightest = picture.bytes.iter().copied().max().unwrap_or(0);
    // Pixels that use little of their range could not be told apart.
    let (low, high) = match brightest - darkest < RANGE_MIN {
        true => (darkest, brightest),
        false => (0, 255),
    };
    for (y, line) in picture
        .bytes
        .chunks_exact(width * picture.channels as usize)
        .enumerate()
    {
        let colours: Vec<[u8; 3]> = line
            .chunks_exact(picture.channels as usize)
            .map(|pixel| colour(pixel, low, high))
            .collect();
        let mut x = 0;
        for run in colours.chunk_by(|a, b| a == b) {
            let path = of_colour.entry(run[0]).or_default();
            // Writing into a string cannot fail.
            let _ = write!(path, "M{x} {y}h{0}v1h-{0}z", run.len());
            x += run.len();
        }
    }
    let view = format!("0 0 {} {}", picture.width, picture.height);
    html! {
        svg.picture viewBox=(view) role="img" aria-label="the image" shape-rendering="crispEdges" {
            @for ([red, green, blue], path) in &of_colour {
                path d=(path) fill=(format!("#{red:02x}{green:02x}{blue:02x}")) {}
            }
        }
    }
}

/// The nearest level of each channel, where `low` is black and `high` is white.
fn colour(pixel: &[u8], low: u8, high: u8) -> [u8; 3] {
    let range = u32::from(high.saturating_sub(low)).max(1);
    let rounded = |value: u8| {
        let above = u32::from(value.saturating_sub(low));
        let level = (above * LEVELS + range / 2) / range;
        (level.min(LEVELS) * 255 / LEVELS) as u8
    };
    match pixel {
        [red, green, blue] => [*red, *green, *blue].map(rounded),
        _ => [rounded(pixel[0]); 3],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pixel_is_drawn_once_in_its_colour() {
        let picture = Picture {
            height: 2,
            width: 3,
            channels: 1,
            bytes: vec![0, 0, 255, 255, 255, 255],
        };
        let svg = drawn(&picture).into_string();
        assert!(
            svg.contains(r##"d="M0 0h2v1h-2z" fill="#000000""##),
            "{svg}"
        );
        assert!(
            svg.contains(r##"d="M2 0h1v1h-1zM0 1h3v1h-3z" fill="#ffffff""##),
            "{svg}"
        );
    }

    #[test]
    fn colours_keep_their_ends() {
        assert_eq!(colour(&[0, 255, 128], 0, 255), [0, 255, 136]);
        assert_eq!(colour(&[255], 0, 255), [255, 255, 255]);
        assert_eq!(colour(&[16], 0, 16), [255, 255, 255]);
        assert_eq!(colour(&[7], 7, 7), [0, 0, 0]);
    }
}
