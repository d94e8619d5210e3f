//! `models.price`: one price, a list with dates, or the word that nobody knows it.

use slarouter_core::{Price, Timestamp};
use toml::Spanned;

use crate::date::FORM;
use crate::price::{LongPrices, PriceTable, Prices};
use crate::problems::Problems;
use crate::raw::{self, Written};

/// The table; `Ok(None)` where the price is unknown, which the prices of the others decide. `Err` where it cannot be used.
pub(super) fn table(written: Spanned<Written>, problems: &mut Problems<'_>) -> Result<Option<PriceTable>, ()> {
    let place = written.span();
    let entries = match written.into_inner() {
        Written::Unknown => return Ok(None),
        Written::Always(price) => vec![Spanned::new(place.clone(), *price)],
        Written::Dated(entries) => entries,
    };
    let mut first = None;
    let mut later: Vec<(Timestamp, Prices)> = Vec::new();
    let before = problems.found.len();
    for entry in entries {
        let place = entry.span();
        let entry = entry.into_inner();
        let prices = prices(&entry, place.clone(), problems);
        let Some(from) = entry.from else {
            if first.replace(prices).is_some() {
                problems.absent(
                    Some(place),
                    "this model has two prices without a date: give all but the first in force a `from`",
                );
            }
            continue;
        };
        match from.get_ref().timestamp() {
            None => problems.add(Some(from.span()), FORM),
            Some(date) if later.iter().any(|(held, _)| *held == date) => {
                problems.add(Some(from.span()), "this model has another price from the same moment on");
            }
            Some(date) => later.push((date, prices)),
        }
    }
    let Some(first) = first else {
        problems.absent(Some(place), "one price must have no `from`: the one that is in force until the first date");
        return Err(());
    };
    if problems.found.len() > before { Err(()) } else { Ok(Some(PriceTable::new(first, later))) }
}

fn prices(price: &raw::Price, place: std::ops::Range<usize>, problems: &mut Problems<'_>) -> Prices {
    let mut check = |value: f64| {
        if !Price::allows(value) {
            let what = format!("a price must be from 0 to {} USD per million tokens, not {value}", Price::MAX);
            problems.add(Some(place.clone()), what);
        }
        value
    };
    let (input, output) = (check(price.input), check(price.output));
    let long = price.long.as_ref().map(|long| (long.above, check(long.input), check(long.output)));
    let mut or = |given: Option<f64>, otherwise: f64| given.map_or(otherwise, &mut check);
    let cache_write = or(price.cache_write, input);
    let prices = Prices {
        input,
        output,
        cached_input: or(price.cached_input, input),
        cache_write,
        cache_write_1h: or(price.cache_write_1h, cache_write),
        reasoning: or(price.reasoning, output),
        audio_input: or(price.audio_input, input),
        audio_output: or(price.audio_output, output),
        image_input: or(price.image_input, input),
        image_output: or(price.image_output, output),
        long: long.map(|(above, dear_input, dear_output)| LongPrices {
            above,
            input: dear_input / input,
            output: dear_output / output,
        }),
    };
    if prices.long.is_some() && (input == 0.0 || output == 0.0) {
        problems
            .add(Some(place), "price.long says how much dearer long questions are: input and output must be above 0");
    }
    prices
}
