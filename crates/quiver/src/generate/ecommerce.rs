//! Orders of a shop: 11 columns.

use super::row::Row;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

pub(super) const HEADER: &str =
    "OrderID,OrderDate,Product,Category,Quantity,UnitPrice,Discount,Region,Channel,CustomerID,TotalAmount";

/// Product, category, price in cents.
const PRODUCTS: [(&str, &str, i64); 10] = [
    ("Desk Lamp", "Home", 3490),
    ("Office Chair", "Home", 18_900),
    ("Water Bottle", "Outdoor", 1950),
    ("Tent", "Outdoor", 22_900),
    ("Keyboard", "Electronics", 7900),
    ("Monitor", "Electronics", 27_900),
    ("Headphones", "Electronics", 9900),
    ("Novel", "Books", 1490),
    ("Atlas", "Books", 4900),
    ("Running Shoes", "Sports", 11_900),
];

const DAYS_IN_MONTH: i64 = 28;
/// One amount in so many is null; one in so many lies far out.
const NULL_ONE_IN: u32 = 33;
const OUTLIER_ONE_IN: u32 = 150;

pub(super) fn fill(number: u64, rng: &mut ChaCha8Rng, row: &mut Row) {
    let (product, category, list_price) = PRODUCTS[rng.random_range(0..PRODUCTS.len())];
    let quantity = rng.random_range(1..=5_i64);
    let price = list_price + rng.random_range(-list_price / 10..=list_price / 10);
    let percent = [0, 0, 0, 5, 10, 15, 20][rng.random_range(0..7)];
    let usual = quantity * price * (100 - percent) / 100;
    let total = if rng.random_ratio(1, OUTLIER_ONE_IN) { usual * 40 } else { usual };

    row.text(&format!("ORD-{:08}", number + 1));
    let (year, month) = (rng.random_range(2023..=2025), rng.random_range(1..=12));
    row.text(&format!("{year}-{month:02}-{:02}", rng.random_range(1..=DAYS_IN_MONTH)));
    row.text(product);
    row.text(category);
    match rng.random_ratio(1, NULL_ONE_IN) {
        true => row.null(),
        false => row.int(quantity),
    }
    row.hundredths(price);
    row.hundredths(percent);
    row.text(["North", "South", "East", "West"][rng.random_range(0..4)]);
    row.text(["Web", "Web", "Store", "Phone"][rng.random_range(0..4)]);
    row.text(&format!("C{:05}", rng.random_range(1..=9999)));
    match rng.random_ratio(1, NULL_ONE_IN) {
        true => row.null(),
        false => row.hundredths(total),
    }
}
