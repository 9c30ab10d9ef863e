use super::*;

fn series(values: &[&[u64]]) -> Vec<Series> {
    let names = ["a", "b", "c"];
    let one = |(name, values): (&&'static str, &&[u64])| Series {
        name,
        values: values.to_vec(),
    };
    names.iter().zip(values).map(one).collect()
}

fn labels(count: usize) -> Vec<String> {
    (1..=count).map(|day| format!("11-{day:02}")).collect()
}

#[test]
fn nothing_one_point_and_many_are_charts() {
    let many: Vec<u64> = (0..366).collect();
    for (count, values) in [
        (0, &[&[][..], &[], &[]][..]),
        (1, &[&[0], &[0], &[0]]),
        (1, &[&[1], &[0], &[7]]),
        (2, &[&[u64::MAX / 4, 3], &[0, 0], &[1, 1]]),
        (366, &[&many, &many, &many]),
    ] {
        let (labels, series) = (labels(count), series(values));
        for svg in [
            lines(&labels, &series),
            columns(&labels, &series),
            bars(&labels[..count.min(12)], &series),
        ] {
            assert!(
                svg.starts_with("<svg ") && svg.trim_end().ends_with("</svg>"),
                "{svg}"
            );
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(!svg.contains("style="), "{svg}");
        }
    }
}

#[test]
fn every_colour_is_a_placeholder_that_the_style_sheet_replaces() {
    let style = include_str!("../style.css");
    let mut seen = std::collections::BTreeSet::new();
    let (labels, series) = (labels(5), series(&[&[1, 2, 3, 4, 5], &[1; 5], &[2; 5]]));
    for svg in [
        lines(&labels, &series),
        columns(&labels, &series),
        bars(&labels, &series),
    ] {
        for attribute in ["fill", "stroke"] {
            for part in svg.split(&format!(" {attribute}=\"")).skip(1) {
                let colour = part.split('"').next().unwrap();
                if colour == "none" || part.contains("opacity=\"0\"") {
                    continue;
                }
                let rule = format!("[{attribute}=\"{colour}\"]");
                assert!(style.contains(&rule), "{rule}: {svg}");
                seen.insert(rule);
            }
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
}

#[test]
fn a_name_cannot_break_out_of_a_chart() {
    let svg = bars(&["<script>\"&".to_owned()], &series(&[&[1], &[0], &[0]]));
    let svg = named(&svg, "id", "<title>", "a \"quoted\" & b");
    assert!(
        !svg.contains("<script>") && !svg.contains("<title>\""),
        "{svg}"
    );
    assert!(svg.contains("viewBox=\"0 0 640 66\""), "{svg}");
    assert!(svg.contains("role=\"img\" aria-labelledby=\"id-title id-description\""));
}
