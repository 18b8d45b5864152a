//! Prints how many instructions the running kernel's verifier goes through for each program, or why
//! it refuses one. As root.

fn main() {
    let features = probes::Features::probe();
    for features in [features, features.without_uprobe_multi()] {
        match probes::verify(features) {
            Ok(programs) => programs.iter().for_each(|p| println!("{p:?}")),
            Err(refused) => println!("{}\n{}", refused.error, refused.log),
        }
    }
}
