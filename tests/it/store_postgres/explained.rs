//! Plans as the server really ran them: what `auto_explain` wrote to its log, also of statements inside functions.

use serde_json::Value;

/// A statement that was carried out.
#[derive(Debug)]
pub struct Plan {
    /// Its text, with each run of spaces as one.
    pub sql: String,
    root: Value,
}

/// The plans in a part of the server's log. Each follows a line that ends in `plan:`, every line of it after a tab.
pub fn plans(log: &str) -> Vec<Plan> {
    let mut plans = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        if !line.ends_with("plan:") {
            continue;
        }
        let mut json = String::new();
        while let Some(more) = lines.next_if(|next| next.starts_with('\t')) {
            json.push_str(more);
        }
        let told: Value = serde_json::from_str(&json).expect("auto_explain writes JSON");
        let sql = told["Query Text"].as_str().expect("a plan has its statement");
        let sql = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        plans.push(Plan { sql, root: told["Plan"].clone() });
    }
    plans
}

impl Plan {
    /// Blocks that were looked at, in all.
    pub fn blocks(&self) -> f64 {
        ["Shared Hit Blocks", "Shared Read Blocks", "Temp Read Blocks"]
            .iter()
            .map(|kind| number(&self.root, kind))
            .sum()
    }

    /// How many rows it was about: those that it returned, was given, or stopped at because of a limit; and those of a
    /// span of the log that it passed over.
    pub fn rows(&self) -> f64 {
        let counted = |node: &&&Value| {
            matches!(node["Node Type"].as_str(), Some("Limit" | "Function Scan" | "WindowAgg" | "Merge Append"))
        };
        let most = self.nodes().iter().filter(counted).map(|node| all_rows(node)).fold(0.0, f64::max);
        most.max(number(&self.root, "Actual Rows")).max(1.0)
    }

    /// The tables of which each row is looked at.
    pub fn scanned(&self) -> Vec<&str> {
        let scans = self.nodes().into_iter().filter(|node| node["Node Type"] == "Seq Scan");
        scans.filter_map(|node| node["Relation Name"].as_str()).collect()
    }

    /// The most rows that one of its steps passed on, in all its runs.
    pub fn most_rows(&self) -> f64 {
        self.nodes().iter().map(|node| all_rows(node)).fold(0.0, f64::max)
    }

    /// The plan for a report.
    pub fn pretty(&self) -> String {
        serde_json::to_string_pretty(&self.root).expect("it was JSON")
    }

    fn nodes(&self) -> Vec<&Value> {
        let mut nodes = vec![&self.root];
        let mut at = 0;
        while let Some(node) = nodes.get(at) {
            nodes.extend(node["Plans"].as_array().into_iter().flatten());
            at += 1;
        }
        nodes
    }
}

fn number(node: &Value, name: &str) -> f64 {
    node[name].as_f64().unwrap_or(0.0)
}

fn all_rows(node: &Value) -> f64 {
    (number(node, "Actual Rows") + number(node, "Rows Removed by Filter")) * number(node, "Actual Loops")
}
