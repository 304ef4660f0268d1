//! Quantities of impairments: probabilities and rates, and the texts and numbers that they are
//! written as. Pure.

use std::fmt;
use std::str::FromStr;

/// A probability from 0 to 1, in steps of 2⁻⁶⁴.
///
/// A draw is a uniform 64-bit number. It hits if it is below the probability times 2⁶⁴, so that no
/// floating point takes part in a verdict.
///
/// `Display` writes a percentage, which `FromStr` reads.
///
/// ```
/// use netns_test::lab::Probability;
///
/// let loss: Probability = "0.5%".parse()?;
/// assert_eq!(loss, Probability::new(0.005)?);
/// assert_eq!(loss.to_string(), "0.5%");
/// # Ok::<(), netns_test::lab::QuantityError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Probability(u64);

/// Error of a text or a number that is not a probability, a rate or a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError(String);

/// A probability: a percentage (`"1%"`), a fraction from 0 to 1 (`0.01`), or a [`Probability`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbabilityArg(pub(crate) Result<Probability, QuantityError>);

/// A rate: a text with a unit of `tc(8)` (`"10mbit"`), or a number of bits per second.
///
/// The units are `bit`, `kbit`, `mbit`, `gbit` and `tbit`, which count in thousands, and `kibit`,
/// `mibit`, `gibit` and `tibit`, which count in 1024. Their case does not matter. `tc` reads `mbps`
/// as megabytes per second; here such a unit is an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateArg(pub(crate) Result<u64, QuantityError>);

/// A pattern of losses: a text with `.` for a packet that passes and `x` for a lost one
/// (`"....x"`), or values that are true for a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternArg(pub(crate) Result<Vec<bool>, QuantityError>);

/// Steps of a probability from 0 to 1.
const STEPS: f64 = 18_446_744_073_709_551_616.0;

/// Units of a rate in `tc(8)`, in bits per second.
const RATES: [(&str, u64); 9] = [
    ("bit", 1),
    ("kbit", 1_000),
    ("mbit", 1_000_000),
    ("gbit", 1_000_000_000),
    ("tbit", 1_000_000_000_000),
    ("kibit", 1 << 10),
    ("mibit", 1 << 20),
    ("gibit", 1 << 30),
    ("tibit", 1 << 40),
];

impl Probability {
    /// Probability 0: no draw hits.
    pub const NEVER: Self = Self(0);
    /// Probability 1: each draw hits.
    pub const ALWAYS: Self = Self(u64::MAX);

    /// Creates a probability of its steps of 2⁻⁶⁴; `u64::MAX` is 1.
    #[cfg(test)]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Returns the steps of 2⁻⁶⁴; `u64::MAX` is 1.
    pub(crate) const fn bits(self) -> u64 {
        self.0
    }

    /// Creates a probability of a fraction from 0 to 1.
    ///
    /// # Errors
    ///
    /// Returns an error for a number below 0, above 1, or NaN.
    pub fn new(fraction: f64) -> Result<Self, QuantityError> {
        if fraction.is_nan() {
            return Err(QuantityError::new(fraction, "it is no number; pass one from 0 to 1"));
        }
        if fraction < 0.0 {
            return Err(QuantityError::new(fraction, "a probability is not below 0; raise it"));
        }
        if fraction > 1.0 {
            let why =
                format!("a number is a fraction, at most 1; write \"{fraction}%\" for percent");
            let too_much = "a probability is at most 1; lower it".to_owned();
            let why = if fraction <= 100.0 { why } else { too_much };
            return Err(QuantityError::new(fraction, why));
        }
        // The conversion of 1 saturates to `ALWAYS`.
        Ok(Self((fraction * STEPS).round() as u64))
    }

    /// Returns whether a draw hits.
    pub(crate) const fn is_hit(self, draw: u64) -> bool {
        draw < self.0 || self.0 == u64::MAX
    }

    /// Returns the probability as a fraction from 0 to 1.
    pub(crate) fn fraction(self) -> f64 {
        self.0 as f64 / STEPS
    }
}

impl QuantityError {
    fn new(given: impl fmt::Display, why: impl fmt::Display) -> Self {
        Self(format!("`{given}`: {why}"))
    }
}

impl FromStr for Probability {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let failed = |why| QuantityError::new(text, why);
        let number = text.strip_suffix('%').map(str::trim_end);
        let number =
            number.ok_or_else(|| failed("it has no `%`; write a percentage, as \"1%\""))?;
        if !is_decimal(number) {
            return Err(failed("it is not a percentage; write one, as \"1%\" or \"0.5%\""));
        }
        // The exponent divides by 100 without a rounding of its own.
        let fraction: f64 = format!("{number}e-2").parse().unwrap_or(f64::NAN);
        if fraction > 1.0 {
            return Err(failed("a probability is at most 100%; lower it"));
        }
        Self::new(fraction)
    }
}

/// Writes the shortest percentage that is read as the same probability.
impl fmt::Display for Probability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts = (0..19).map(|decimals| percentage(*self, decimals));
        let same = texts.find(|text| text.parse() == Ok(*self));
        f.write_str(&same.unwrap_or_else(|| percentage(*self, 19)))
    }
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for QuantityError {}

impl Default for ProbabilityArg {
    fn default() -> Self {
        Probability::NEVER.into()
    }
}

impl From<Probability> for ProbabilityArg {
    fn from(probability: Probability) -> Self {
        Self(Ok(probability))
    }
}

impl From<f64> for ProbabilityArg {
    fn from(fraction: f64) -> Self {
        Self(Probability::new(fraction))
    }
}

impl From<&str> for ProbabilityArg {
    fn from(text: &str) -> Self {
        Self(text.parse())
    }
}

impl From<String> for ProbabilityArg {
    fn from(text: String) -> Self {
        Self(text.parse())
    }
}

impl From<u64> for RateArg {
    fn from(bits_per_second: u64) -> Self {
        Self(Ok(bits_per_second))
    }
}

impl From<&str> for RateArg {
    fn from(text: &str) -> Self {
        Self(rate(text))
    }
}

impl From<String> for RateArg {
    fn from(text: String) -> Self {
        Self(rate(&text))
    }
}

impl From<&str> for PatternArg {
    fn from(text: &str) -> Self {
        let is_lost = |character| match character {
            '.' => Some(false),
            'x' => Some(true),
            _ => None,
        };
        let pattern: Option<Vec<bool>> = text.chars().map(is_lost).collect();
        let why = "a pattern has `.` for a packet that passes and `x` for a lost one";
        Self(pattern.ok_or_else(|| QuantityError::new(text, why)))
    }
}

impl From<String> for PatternArg {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Vec<bool>> for PatternArg {
    fn from(pattern: Vec<bool>) -> Self {
        Self(Ok(pattern))
    }
}

impl<const N: usize> From<[bool; N]> for PatternArg {
    fn from(pattern: [bool; N]) -> Self {
        Self(Ok(pattern.to_vec()))
    }
}

/// Reads a rate with a unit of `tc(8)`.
fn rate(text: &str) -> Result<u64, QuantityError> {
    let failed = |why: String| QuantityError::new(text, why);
    let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = (text[..end].trim_end(), text[end..].to_ascii_lowercase());
    if !is_decimal(number) {
        return Err(failed("it is not a rate; write one, as \"10mbit\"".to_owned()));
    }
    if let Some(prefix) = unit.strip_suffix("bps") {
        let bytes = format!("{number}{prefix}bit");
        let why = format!(
            "tc(8) reads `{unit}` as bytes per second; write \"{bytes}\" for bits, or 8 times that \
             for bytes"
        );
        return Err(failed(why));
    }
    let known = RATES.iter().find(|(name, _)| *name == unit);
    let factor = known.map(|(_, factor)| *factor).ok_or_else(|| {
        failed(
            "it has no unit of a rate; write `kbit`, `mbit` or `gbit` after the number".to_owned(),
        )
    })?;
    let bits = number.parse::<f64>().unwrap_or(f64::INFINITY) * factor as f64;
    if bits >= STEPS {
        return Err(failed("it is more than 64 bits can count; lower it".to_owned()));
    }
    Ok(bits.round() as u64)
}

/// Returns a percentage with so many decimals, at most 19, rounded.
fn percentage(probability: Probability, decimals: u32) -> String {
    let steps = match probability {
        Probability::ALWAYS => 1 << 64,
        Probability(steps) => u128::from(steps),
    };
    let (percent, unit) = (steps * 100, 10_u128.pow(decimals));
    let below = percent & u128::from(u64::MAX);
    let part = (below * unit + (1 << 63)) >> 64;
    let (whole, part) = ((percent >> 64) + part / unit, part % unit);
    match decimals {
        0 => format!("{whole}%"),
        decimals => format!("{whole}.{part:0width$}%", width = decimals as usize),
    }
}

/// Returns whether the text is a decimal number without sign and exponent.
fn is_decimal(text: &str) -> bool {
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, part)) => is_digits(whole) && is_digits(part),
        None => is_digits(text),
    }
}

/// Returns a rate with the largest unit in which it is a whole number.
pub(crate) fn rate_text(bits_per_second: u64) -> String {
    let divides = |(_, factor): &&(&str, u64)| bits_per_second % factor == 0;
    let (unit, factor) = RATES[..5].iter().rev().find(divides).unwrap_or(&RATES[0]);
    match bits_per_second {
        0 => "0bit".to_owned(),
        _ => format!("{}{unit}", bits_per_second / factor),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        text.parse::<Probability>().unwrap_err().to_string()
    }

    #[test]
    fn a_probability_is_a_percentage_or_a_fraction() {
        for (text, fraction) in
            [("0%", 0.0), ("1%", 0.01), ("0.1 %", 0.001), ("33.3%", 0.333), ("100%", 1.0)]
        {
            assert_eq!(ProbabilityArg::from(text), fraction.into(), "{text}");
        }
        assert_eq!(ProbabilityArg::from("100.0%".to_owned()), Probability::ALWAYS.into());
        assert_eq!(Probability::new(-0.0), Ok(Probability::NEVER));
        assert_eq!(Probability::new(0.5), Ok(Probability(1 << 63)));
        assert!(Probability::new(1.0).unwrap().is_hit(u64::MAX));
        assert!(!Probability::new(0.5).unwrap().is_hit(1 << 63));
        for text in ["", "%", "1", "-1%", "1e3%", ".5%", "1.%", "NaN%", "inf%", "one%", "1%%"] {
            assert!(text.parse::<Probability>().is_err(), "{text}");
        }
        assert_eq!(refused("130%"), "`130%`: a probability is at most 100%; lower it");
        assert_eq!(refused("0.01"), "`0.01`: it has no `%`; write a percentage, as \"1%\"");
        let of_number = |number| Probability::new(number).unwrap_err().to_string();
        let expected = "`5`: a number is a fraction, at most 1; write \"5%\" for percent";
        assert_eq!(of_number(5.0), expected);
        assert_eq!(of_number(-0.1), "`-0.1`: a probability is not below 0; raise it");
        assert_eq!(of_number(f64::NAN), "`NaN`: it is no number; pass one from 0 to 1");
        assert_eq!(of_number(f64::INFINITY), "`inf`: a probability is at most 1; lower it");
    }

    #[test]
    fn a_probability_is_written_as_it_is_read() {
        for text in ["0%", "1%", "0.07%", "7%", "33.3%", "99.999%", "100%", "0.000000000001%"] {
            assert_eq!(text.parse::<Probability>().unwrap().to_string(), text);
        }
        let mut number = 0x9e37_79b9_7f4a_7c15_u64;
        for shift in 0..64 {
            number = number.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1;
            // As many bits as a fraction has.
            let probability = Probability(number >> 11 << 11 >> shift.min(10));
            assert_eq!(probability.to_string().parse(), Ok(probability));
        }
    }

    #[test]
    fn a_rate_has_a_unit_of_tc() {
        let rates = [
            ("1bit", 1),
            ("10kbit", 10_000),
            ("10mbit", 10_000_000),
            ("1.5Mbit", 1_500_000),
            ("2 gbit", 2_000_000_000),
            ("1tbit", 1_000_000_000_000),
            ("1kibit", 1024),
            ("0bit", 0),
        ];
        for (text, bits) in rates {
            assert_eq!(RateArg::from(text), bits.into(), "{text}");
        }
        for text in ["", "10", "mbit", "-1mbit", "1e3kbit", "10mb", "10 furlongs", "99999999tbit"] {
            assert!(RateArg::from(text.to_owned()).0.is_err(), "{text}");
        }
        let bytes = RateArg::from("10mbps").0.unwrap_err().to_string();
        assert!(bytes.contains("reads `mbps` as bytes per second; write \"10mbit\""), "{bytes}");
        let texts = [(0, "0bit"), (7, "7bit"), (1500, "1500bit"), (384_000, "384kbit")];
        for (bits, text) in
            texts.into_iter().chain([(10_000_000, "10mbit"), (u64::MAX, "18446744073709551615bit")])
        {
            assert_eq!(rate_text(bits), text);
        }
    }

    #[test]
    fn a_pattern_is_a_text_or_values() {
        let pattern = PatternArg(Ok(vec![false, false, true]));
        assert_eq!(PatternArg::from("..x"), pattern);
        assert_eq!(PatternArg::from(vec![false, false, true]), pattern);
        assert_eq!(PatternArg::from([false, false, true]), pattern);
        assert!(PatternArg::from(".X".to_owned()).0.is_err());
    }
}
