//! Which of the legal variants is proposed.
//!
//! Today: any of them, with equal chances. This is where a surrogate of the score will screen the
//! variants before one is trained; nothing is predicted yet, and nothing here pretends to.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::variants::Variant;

/// One variant, all with equal chances; `None` if there is none.
pub fn screen(mut variants: Vec<Variant>, rng: &mut ChaCha8Rng) -> Option<Variant> {
    if variants.is_empty() {
        return None;
    }
    let chosen = rng.random_range(0..variants.len());
    Some(variants.swap_remove(chosen))
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::setting::Setting;

    #[test]
    fn every_variant_has_the_same_chance() {
        let variant = |parent| Variant {
            parent,
            morphs: Vec::new(),
            architecture: "in 4 | dense 2".parse().unwrap(),
            setting: Setting::default(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut met = [0; 4];
        for _ in 0..4000 {
            let variants = (0..4).map(variant).collect();
            met[screen(variants, &mut rng).unwrap().parent] += 1;
        }
        // Four standard deviations are 110.
        assert!(
            met.iter().all(|count| (890..1110).contains(count)),
            "{met:?}"
        );
        assert_eq!(screen(Vec::new(), &mut rng), None);
    }
}
