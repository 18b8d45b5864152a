//! Prints what `gobin` reads from a binary: `cargo run -p gobin --example look -- BINARY`.

use gobin::{Binary, Global};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: look BINARY")?;
    let data = std::fs::read(&path)?;
    let start = std::time::Instant::now();
    let binary = Binary::parse(&data)?;
    let types = binary.types();
    println!("{} {:?}", binary.build_info().go_version, binary.module());
    println!("{} functions, {} structs", binary.functions().len(), types.structs().count());
    for global in Global::ALL {
        println!("{:28} {:#x?}", global.symbol(), binary.global(global));
    }
    let names = [
        "net/http.serverHandler.ServeHTTP",
        "net/http.(*response).finishRequest",
        "net/http.(*conn).close",
        "net/http.(*Transport).roundTrip",
    ];
    for name in names {
        let site = binary.function(name).and_then(|f| binary.entry_site(&f));
        println!("{name}: {site:x?}");
    }
    let of = |n| binary.function(n);
    if let (Some(f), Some(p), Some(g), Some(s)) = (
        of("net/http.(*Transport).roundTrip"),
        of("net/http.(*persistConn).roundTrip"),
        of("net/http.(*Transport).getConn"),
        of("runtime.selectnbrecv"),
    ) {
        println!("round trip done: {:x?}", binary.result_site(&f, &p));
        println!("no connection: {:x?}", binary.nonzero_site(&f, &g, 1));
        println!("context done: {:x?}", binary.nonzero_site(&f, &s, 0));
    }
    if let (Some(f), Some(offset)) = (of("runtime.newproc1"), types.offset("runtime.g", &["goid"]))
    {
        println!("new goroutine: {:x?}", binary.store_site(&f, offset));
    }
    println!("tls g offset {:?}", binary.tls_g_offset());
    for (name, path) in [
        ("runtime.g", &["goid"][..]),
        ("runtime.g", &["parentGoid"]),
        ("runtime.p", &["goidcache"]),
        ("net/http.Request", &["ctx"]),
        ("net/http.Request", &["Pattern"]),
        ("net/http.response", &["status"]),
        ("context.valueCtx", &["Context"]),
    ] {
        println!("{name} {path:?} = {:?}", types.offset(name, path));
    }
    println!("took {:?}", start.elapsed());
    Ok(())
}
