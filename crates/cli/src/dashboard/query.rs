//! Which trials are asked for, as it stands in an address: `/trials?state=failed&order=newest&words=conv+dense&page=2`.

use form_urlencoded::{Serializer, parse};

use super::row::State;

/// Trials of a page.
pub(super) const PAGE: usize = 100;

/// Every trial is looked through for every word.
const WORDS_MAX: usize = 16;

/// In which order trials are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Best,
    Newest,
    Longest,
    Smallest,
}

impl Order {
    pub(super) const ALL: [Order; 4] =
        [Order::Best, Order::Newest, Order::Longest, Order::Smallest];

    pub(super) fn name(self) -> &'static str {
        match self {
            Order::Best => "best",
            Order::Newest => "newest",
            Order::Longest => "longest",
            Order::Smallest => "smallest",
        }
    }
}

/// Which trials are asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    /// All, if absent.
    pub(super) state: Option<State>,
    pub(super) order: Order,
    /// All of these must stand in a trial's network or origin, or be its number; small letters, without spaces.
    pub(super) words: Vec<String>,
    /// From 1.
    pub(super) page: usize,
}

impl Default for Wish {
    fn default() -> Wish {
        Wish {
            state: None,
            order: Order::Best,
            words: Vec::new(),
            page: 1,
        }
    }
}

impl Wish {
    /// What the part of an address behind `?` asks for. What is not said, or left empty, is as usual.
    ///
    /// # Errors
    /// A sentence that says which word is not understood, and what could stand there.
    pub(super) fn of(query: Option<&str>) -> Result<Wish, String> {
        let mut wish = Wish::default();
        for (name, value) in parse(query.unwrap_or_default().as_bytes()) {
            let value = value.trim();
            match name.as_ref() {
                _ if value.is_empty() => {}
                "state" if value == "all" => wish.state = None,
                "state" => wish.state = Some(chosen(&name, value, &State::ALL, State::name)?),
                "order" => wish.order = chosen(&name, value, &Order::ALL, Order::name)?,
                "words" => {
                    wish.words = value
                        .to_lowercase()
                        .split_whitespace()
                        .map(str::to_string)
                        .collect();
                    if wish.words.len() > WORDS_MAX {
                        return Err(format!(
                            "{} words: {WORDS_MAX} are looked for at most.",
                            wish.words.len()
                        ));
                    }
                }
                "page" => match value.parse() {
                    Ok(page @ 1..) => wish.page = page,
                    _ => return Err(format!("`page={value}`: pages are counted from 1.")),
                },
                _ => {
                    return Err(format!(
                        "`{name}` cannot be asked of trials; `state`, `order`, `words` and `page` can."
                    ));
                }
            }
        }
        Ok(wish)
    }

    /// The address that asks for this.
    pub(super) fn address(&self) -> String {
        let mut query = Serializer::new(String::new());
        if let Some(state) = self.state {
            query.append_pair("state", state.name());
        }
        if self.order != Order::Best {
            query.append_pair("order", self.order.name());
        }
        if !self.words.is_empty() {
            query.append_pair("words", &self.words.join(" "));
        }
        if self.page > 1 {
            query.append_pair("page", &self.page.to_string());
        }
        match query.finish() {
            plain if plain.is_empty() => "/trials".to_string(),
            asked => format!("/trials?{asked}"),
        }
    }

    /// The same on another page.
    pub(super) fn on_page(&self, page: usize) -> Wish {
        Wish {
            page,
            ..self.clone()
        }
    }
}

/// The one of these that is called so.
fn chosen<T: Copy>(
    field: &str,
    value: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let mut each = all.iter().copied();
    each.find(|one| name(*one) == value).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        format!("`{field}={value}`: there is {}.", names.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_what_is_asked_for_and_what_is_asked_for_has_an_address() {
        let wish = Wish {
            state: Some(State::Failed),
            order: Order::Newest,
            words: ["conv", "16", "&", "<more>"].map(str::to_string).to_vec(),
            page: 3,
        };
        let address = wish.address();
        assert_eq!(
            address,
            "/trials?state=failed&order=newest&words=conv+16+%26+%3Cmore%3E&page=3"
        );
        let (_, query) = address.split_once('?').unwrap();
        assert_eq!(Wish::of(Some(query)), Ok(wish));
        assert_eq!(Wish::default().address(), "/trials");
        assert_eq!(
            Wish::of(Some("state=all&words=+&page=")),
            Ok(Wish::default())
        );
    }

    #[test]
    fn what_is_not_understood_is_named_with_what_could_stand_there() {
        let refused = |query: &str| Wish::of(Some(query)).unwrap_err();
        assert_eq!(
            refused("state=done"),
            "`state=done`: there is finished, running, waiting, stopped, failed."
        );
        assert!(refused("order=worst").contains("best, newest, longest, smallest"));
        assert!(refused("page=0").contains("from 1"));
        assert!(refused("page=99999999999999999999").contains("from 1"));
        assert!(refused("sort=best").starts_with("`sort` cannot be asked"));
        assert!(refused(&format!("words={}", "e+".repeat(17))).contains("16 are looked for"));
        assert_eq!(
            Wish::of(Some("words=Conv++K3")).unwrap().words,
            ["conv", "k3"]
        );
    }
}
