//! Latencies: fixed, uniform, or with the long tail of real services.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::dice::Dice;
use crate::parse;

/// Nothing takes longer than a day: a bound that keeps any sum of times far from overflow.
pub(crate) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// How long something takes: fixed, or drawn from a distribution by the seed, the item and the attempt.
///
/// Written `300ms`, `100ms..300ms` or `lognormal:50ms,400ms`.
///
/// ```
/// use ai_mock::Latency;
/// use std::time::Duration;
///
/// let latency: Latency = "lognormal:50ms,0.4s".parse()?;
/// assert_eq!(latency, Latency::LogNormal { p50: Duration::from_millis(50), p99: Duration::from_millis(400) });
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// Always this long.
    Fixed(Duration),
    /// Anything from low to high, all equally likely.
    Uniform {
        /// The shortest.
        low: Duration,
        /// The longest.
        high: Duration,
    },
    /// The long tail of real services, given by two percentiles.
    LogNormal {
        /// The median.
        p50: Duration,
        /// One in a hundred takes longer than this.
        p99: Duration,
    },
}

impl Default for Latency {
    fn default() -> Self {
        Self::Fixed(Duration::ZERO)
    }
}

impl From<Duration> for Latency {
    fn from(time: Duration) -> Self {
        Self::Fixed(time)
    }
}

impl Latency {
    /// The 99th percentile of the standard normal distribution.
    const Z99: f64 = 2.326_347_874;

    /// One draw, a day at the most.
    pub(crate) fn draw(self, dice: &mut Dice) -> Duration {
        let time = match self {
            Self::Fixed(time) => time,
            Self::Uniform { low, high } => low + high.saturating_sub(low).mul_f64(dice.unit()),
            Self::LogNormal { p50, p99 } => {
                let (median, tail) = (p50.as_secs_f64(), p99.as_secs_f64());
                if median <= 0.0 {
                    return Duration::ZERO;
                }
                let sigma = (tail / median).ln().max(0.0) / Self::Z99;
                // Box and Muller's way to a normal number; 1 - unit() is never 0, so the logarithm is finite.
                let radius = (-2.0 * (1.0 - dice.unit()).ln()).sqrt();
                let normal = radius * (std::f64::consts::TAU * dice.unit()).cos();
                Duration::try_from_secs_f64(median * (sigma * normal).exp()).unwrap_or(LONGEST)
            }
        };
        time.min(LONGEST)
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(time) => f.write_str(&parse::show(*time)),
            Self::Uniform { low, high } => {
                write!(f, "{}..{}", parse::show(*low), parse::show(*high))
            }
            Self::LogNormal { p50, p99 } => {
                write!(f, "lognormal:{},{}", parse::show(*p50), parse::show(*p99))
            }
        }
    }
}

impl FromStr for Latency {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ordered = |low: &str, high: &str| {
            let (low, high) = (parse::duration(low)?, parse::duration(high)?);
            if low <= high {
                Ok((low, high))
            } else {
                Err(format!("in {text:?} the second time is the shorter one"))
            }
        };
        if let Some(percentiles) = text.strip_prefix("lognormal:") {
            let (p50, p99) = percentiles
                .split_once(',')
                .ok_or_else(|| bad_latency(text))?;
            let (p50, p99) = ordered(p50, p99)?;
            Ok(Self::LogNormal { p50, p99 })
        } else if let Some((low, high)) = text.split_once("..") {
            let (low, high) = ordered(low, high)?;
            Ok(Self::Uniform { low, high })
        } else {
            parse::duration(text)
                .map(Self::Fixed)
                .map_err(|_| bad_latency(text))
        }
    }
}

fn bad_latency(text: &str) -> String {
    format!(
        "{text:?} is no latency; write 300ms, 0.3s, 100ms..300ms or lognormal:50ms,400ms (p50, p99)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_read_as_they_are_shown() {
        for text in ["0ms", "300ms", "100ms..300ms", "lognormal:50ms,400ms"] {
            assert_eq!(text.parse::<Latency>().unwrap().to_string(), text);
        }
        assert_eq!(
            "0.3s".parse::<Latency>(),
            Ok(Duration::from_millis(300).into())
        );
        for text in [
            "",
            "300",
            "ms",
            "-1ms",
            "nanms",
            "infs",
            "300ms..100ms",
            "lognormal:50ms",
            "2 weeks",
            "ümß",
        ] {
            let error = text.parse::<Latency>().unwrap_err();
            assert!(
                error.contains("ms") || error.contains("shorter"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn log_normal_latencies_have_the_percentiles_asked_for() {
        let latency: Latency = "lognormal:50ms,400ms".parse().unwrap();
        let mut draws: Vec<_> = (0..20_000)
            .map(|n| latency.draw(&mut Dice::new(1, &[&n.to_string()])))
            .collect();
        draws.sort();
        let at = |share: f64| draws[(draws.len() as f64 * share) as usize].as_secs_f64();
        assert!((at(0.5) / 0.050 - 1.0).abs() < 0.05, "p50 {}", at(0.5));
        assert!((at(0.99) / 0.400 - 1.0).abs() < 0.15, "p99 {}", at(0.99));
    }

    #[test]
    fn uniform_latencies_stay_in_their_range() {
        let latency: Latency = "100ms..300ms".parse().unwrap();
        for n in 0..1000 {
            let time = latency
                .draw(&mut Dice::new(3, &[&n.to_string()]))
                .as_secs_f64();
            assert!((0.1..=0.3).contains(&time), "{time}");
        }
    }
}
