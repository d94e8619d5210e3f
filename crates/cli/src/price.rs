//! Prices as they are written on the command line.

use slarouter_core::Price;

/// A model and what it costs, as in `small=0.15,0.6`.
pub(crate) fn priced(text: &str) -> Result<(String, Price), String> {
    let (model, prices) = text.rsplit_once('=').ok_or("a price is MODEL=IN,OUT, as in small=0.15,0.6")?;
    Ok((model.to_owned(), price(prices)?))
}

/// USD per million input and output tokens: two numbers with a comma.
pub(crate) fn price(text: &str) -> Result<Price, String> {
    let usd = |word: &str| word.trim().parse().ok().filter(|usd| (0.0..=1e6).contains(usd));
    let read =
        text.split_once(',').and_then(|(input, output)| Some(Price { input: usd(input)?, output: usd(output)? }));
    read.ok_or_else(|| format!("{text:?} is no price: two numbers from 0 to 1000000 with a comma, as in 0.15,0.6"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_two_numbers() {
        assert_eq!(price("0.15, 0.6"), Ok(Price { input: 0.15, output: 0.6 }));
        assert_eq!(priced("a=b=1,2"), Ok(("a=b".to_owned(), Price { input: 1.0, output: 2.0 })));
        for wrong in ["", "1", "1,", "1;2", "a,b", "-1,2", "NaN,2", "inf,2", "1,1000001", "1,2,3"] {
            assert!(price(wrong).unwrap_err().contains("two numbers from 0 to 1000000"), "{wrong}");
        }
        for wrong in ["", "small", "0.15,0.6"] {
            assert!(priced(wrong).unwrap_err().contains("MODEL=IN,OUT, as in small=0.15,0.6"), "{wrong}");
        }
    }
}
