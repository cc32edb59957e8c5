//! Employees: the 35 columns of the well-known IBM HR attrition schema, with values of our own making.

use super::row::Row;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, Normal};

pub(super) const HEADER: &str = "Age,Attrition,BusinessTravel,DailyRate,Department,DistanceFromHome,Education,\
EducationField,EmployeeCount,EmployeeNumber,EnvironmentSatisfaction,Gender,HourlyRate,JobInvolvement,JobLevel,JobRole,\
JobSatisfaction,MaritalStatus,MonthlyIncome,MonthlyRate,NumCompaniesWorked,Over18,OverTime,PercentSalaryHike,\
PerformanceRating,RelationshipSatisfaction,StandardHours,StockOptionLevel,TotalWorkingYears,TrainingTimesLastYear,\
WorkLifeBalance,YearsAtCompany,YearsInCurrentRole,YearsSinceLastPromotion,YearsWithCurrManager";

/// One cell in so many is null, in the columns that have nulls.
const NULL_ONE_IN: u32 = 40;
/// One income in so many lies far out.
const OUTLIER_ONE_IN: u32 = 200;

struct Department {
    name: &'static str,
    roles: &'static [&'static str],
    fields: &'static [&'static str],
}

const DEPARTMENTS: [(u32, Department); 3] = [
    (
        31,
        Department {
            name: "Sales",
            roles: &["Sales Executive", "Sales Representative", "Manager"],
            fields: &["Marketing", "Life Sciences", "Other"],
        },
    ),
    (
        96,
        Department {
            name: "Research & Development",
            roles: &[
                "Research Scientist",
                "Laboratory Technician",
                "Manufacturing Director",
                "Healthcare Representative",
                "Research Director",
            ],
            fields: &["Life Sciences", "Medical", "Technical Degree", "Other"],
        },
    ),
    (
        100,
        Department {
            name: "Human Resources",
            roles: &["Human Resources", "Manager"],
            fields: &["Human Resources", "Life Sciences", "Other"],
        },
    ),
];

fn pick<'a>(rng: &mut ChaCha8Rng, words: &[&'a str]) -> &'a str {
    words[rng.random_range(0..words.len())]
}

fn int_or_null(rng: &mut ChaCha8Rng, row: &mut Row, number: i64) {
    match rng.random_ratio(1, NULL_ONE_IN) {
        true => row.null(),
        false => row.int(number),
    }
}

pub(super) fn fill(number: u64, rng: &mut ChaCha8Rng, row: &mut Row) {
    let age = rng.random_range(18..=60_i64);
    let working_years = rng.random_range(0..=(age - 18).max(0));
    let at_company = rng.random_range(0..=working_years);
    let in_role = rng.random_range(0..=at_company);
    let level = (1 + working_years / 9 + rng.random_range(-1..=1)).clamp(1, 5);
    let draw = rng.random_range(0..100);
    let department = DEPARTMENTS.iter().find(|(upto, _)| draw < *upto).map_or(&DEPARTMENTS[0].1, |(_, found)| found);
    let over_time = rng.random_ratio(28, 100);
    let leaves = rng.random_ratio(if over_time { 30 } else { 10 }, 100);
    let usual = Normal::new(2600.0 * level as f64, 700.0).map_or(0.0, |income| income.sample(rng)).max(1009.0);
    let income = if rng.random_ratio(1, OUTLIER_ONE_IN) { usual * 8.0 } else { usual } as i64;

    row.int(age);
    row.text(if leaves { "Yes" } else { "No" });
    row.text(pick(rng, &["Travel_Rarely", "Travel_Rarely", "Travel_Frequently", "Non-Travel"]));
    row.int(rng.random_range(102..=1499));
    row.text(department.name);
    let distance = rng.random_range(1..=29);
    int_or_null(rng, row, distance);
    row.int(rng.random_range(1..=5));
    row.text(pick(rng, department.fields));
    row.int(1);
    row.int(number as i64 + 1);
    row.int(rng.random_range(1..=4));
    row.text(pick(rng, &["Female", "Male", "Male"]));
    row.int(rng.random_range(30..=100));
    row.int(rng.random_range(1..=4));
    row.int(level);
    row.text(pick(rng, department.roles));
    let satisfaction = rng.random_range(1..=4);
    int_or_null(rng, row, satisfaction);
    row.text(pick(rng, &["Married", "Single", "Divorced"]));
    row.int(income);
    row.int(rng.random_range(2094..=26_999));
    let companies = rng.random_range(0..=9);
    int_or_null(rng, row, companies);
    row.text("Y");
    row.text(if over_time { "Yes" } else { "No" });
    let hike = rng.random_range(11..=25);
    row.int(hike);
    row.int(if hike >= 20 { 4 } else { 3 });
    row.int(rng.random_range(1..=4));
    row.int(80);
    row.int(rng.random_range(0..=3));
    int_or_null(rng, row, working_years);
    row.int(rng.random_range(0..=6));
    row.int(rng.random_range(1..=4));
    row.int(at_company);
    row.int(in_role);
    row.int(rng.random_range(0..=at_company));
    let with_manager = rng.random_range(0..=in_role);
    int_or_null(rng, row, with_manager);
}
