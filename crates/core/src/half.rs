//! Numbers of half precision (IEEE 754 binary16): 11 significant bits, up to 65,504.
//!
//! Features are rounded to them before anything is decided, so that what the log holds in two bytes is what was decided from.

/// The largest of them.
const MAX: f32 = 65_504.0;
/// The smallest that has all 11 bits.
const NORMAL: f32 = 1.0 / 16_384.0;
/// The number of steps of the smallest ones in 1.
const STEPS: f32 = 16_777_216.0;
/// What an exponent of `f32` is larger by.
const BIAS: u32 = 112;

/// The nearest number of half precision, of two the even one; beyond them the outermost. Relative error at most 2⁻¹¹, absolute
/// error below 2⁻¹⁴ at most 2⁻²⁵. What is no number stays none.
#[must_use]
pub fn round(x: f32) -> f32 {
    if x.is_nan() {
        return x;
    }
    if x.abs() < NORMAL {
        return (x * STEPS).round_ties_even() / STEPS;
    }
    let bits = x.clamp(-MAX, MAX).to_bits();
    f32::from_bits((bits + 0x0fff + (bits >> 13 & 1)) & !0x1fff)
}

/// The bits of a number that is one of half precision; `None` for any other.
#[must_use]
pub fn bits(x: f32) -> Option<u16> {
    let magnitude =
        if x.abs() < NORMAL { (x.abs() * STEPS) as u32 } else { (x.abs().to_bits() >> 13).wrapping_sub(BIAS << 10) };
    let bits = (x.to_bits() >> 16 & 0x8000 | magnitude & 0x7fff) as u16;
    (magnitude < 0x7c00 && from_bits(bits).to_bits() == x.to_bits()).then_some(bits)
}

/// The number with these bits, as [`bits()`] gives them.
#[must_use]
pub fn from_bits(bits: u16) -> f32 {
    // Shifted into place, the exponent is too small by the bias, which the product mends for small numbers too.
    let magnitude = f32::from_bits(u32::from(bits & 0x7fff) << 13) * f32::from_bits((BIAS + 127) << 23);
    f32::from_bits(magnitude.to_bits() | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINITE: std::ops::Range<u16> = 0..0x7c00;

    #[test]
    fn all_of_them_survive_and_nothing_else_has_bits() {
        for magnitude in FINITE {
            for all in [magnitude, magnitude | 0x8000] {
                let x = from_bits(all);
                assert_eq!((bits(x), round(x).to_bits()), (Some(all), x.to_bits()), "{all:#x}");
            }
        }
        assert_eq!(
            [from_bits(1), from_bits(0x3c00), from_bits(0xc000), from_bits(0x7bff)],
            [1.0 / STEPS, 1.0, -2.0, MAX]
        );
        for other in [0.1, 1.0 / 3.0, 65_505.0, f32::MAX, f32::MIN_POSITIVE, f32::INFINITY, f32::NAN, -1e-30] {
            assert_eq!(bits(other), None, "{other}");
        }
    }

    #[test]
    fn rounding_takes_the_nearest_and_of_two_the_even_one() {
        let steps: Vec<f32> = FINITE.map(from_bits).collect();
        for (place, pair) in steps.windows(2).enumerate() {
            let half = pair[0] + (pair[1] - pair[0]) / 2.0;
            let even = pair[place % 2];
            assert_eq!([round(half), round(-half)], [even, -even]);
            assert_eq!([round(half.next_down()), round(half.next_up())], *pair);
        }
        assert_eq!([round(1e9), round(f32::NEG_INFINITY), round(-0.0)], [MAX, -MAX, -0.0]);
        assert!(round(f32::NAN).is_nan());
    }
}
