//! What the exported file was found to do when it was run again.

use maud::{Markup, html};
use study::certificate::Certificate;

use super::{model::Fact, parts::facts};

/// The rows that were tried, and what the file is known by.
pub(crate) fn certified(certificate: &Certificate) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th { "rows of" }
                    th.number { "rows" }
                    th.number { "largest difference" }
                    th.number { "labels that differ" }
                }
            }
            tbody {
                @for tried in &certificate.tried {
                    tr {
                        td { (tried.rows_of) }
                        td.number { (tried.rows) }
                        td.number { (format!("{:.1e}", tried.largest_difference)) }
                        td.number { (tried.labels_that_differ) }
                    }
                }
            }
        }
        (facts(&[
            Fact::new("compared", certificate.compared.clone()),
            Fact::new("allowed", format!("{:e}", certificate.tolerance)),
            Fact::new("run again by", certificate.runtime.clone()),
            Fact::new("operators", format!("opset {}", certificate.opset)),
            Fact::new("weights", format!("blake3 {}", certificate.weights_blake3)),
            Fact::new("file before its certificate", format!("blake3 {}", certificate.graph_blake3)),
        ]))
    }
}
