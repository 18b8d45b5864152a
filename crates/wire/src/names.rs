//! The numbered things of the contract, as enums with the names that users see.

macro_rules! numbered {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $number:literal, $label:literal;)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($(#[$doc])* $variant = $number,)* }

        impl $name {
            /// All of them in order of number.
            pub const ALL: &[$name] = &[$($name::$variant),*];

            /// The one with this number.
            pub fn from_number(number: u32) -> Option<Self> {
                match number { $($number => Some($name::$variant),)* _ => None }
            }

            /// The name in metrics, logs and output.
            pub fn label(self) -> &'static str {
                match self { $($name::$variant => $label,)* }
            }
        }
    };
}

numbered! {
    /// What a uprobe stands for.
    Probe {
        /// `net/http.serverHandler.ServeHTTP`.
        HttpServerStart = 0, "http_server_start";
        /// `net/http.(*response).finishRequest`.
        HttpServerFinish = 1, "http_server_finish";
        /// `net/http.(*response).Hijack`.
        HttpServerHijack = 2, "http_server_hijack";
        /// `net/http.(*conn).close`: ends requests whose handler panicked.
        HttpConnClose = 3, "http_conn_close";
        /// `net/http.(*Transport).roundTrip`.
        HttpClientStart = 4, "http_client_start";
        /// In it, after `(*persistConn).roundTrip`.
        HttpClientDone = 5, "http_client_done";
        /// In it, where `getConn` failed.
        HttpClientNoConn = 6, "http_client_no_conn";
        /// In it, where the context was done before anything was sent.
        HttpClientCtxDone = 7, "http_client_ctx_done";
        /// In `runtime.newproc1`, where the goroutine id is stored.
        NewGoroutine = 8, "new_goroutine";
        /// In `(*Transport).roundTrip`, after an alternate protocol's round tripper: HTTP/2.
        HttpClientAlternate = 9, "http_client_alternate";
        /// net/http's HTTP/2: `(*responseWriter).handlerDone`.
        Http2ServerFinish = 10, "http2_server_finish";
        /// In its `(*serverConn).runHandler`, where a panic is recovered.
        Http2ServerPanic = 11, "http2_server_panic";
        /// Its `(*serverConn).runHandler`, where programs give it handlers of their own.
        Http2StreamStart = 12, "http2_stream_start";
        /// golang.org/x/net/http2: `(*serverConn).runHandler`.
        XnetServerStart = 13, "xnet_server_start";
        /// Its `(*responseWriter).handlerDone`.
        XnetServerFinish = 14, "xnet_server_finish";
        /// In its `(*serverConn).runHandler`, where a panic is recovered.
        XnetServerPanic = 15, "xnet_server_panic";
        /// Its `(*Transport).RoundTripOpt`.
        XnetClientStart = 16, "xnet_client_start";
        /// In it, after `(*ClientConn).roundTrip`.
        XnetClientDone = 17, "xnet_client_done";
        /// google.golang.org/grpc: `(*Server).handleStream`.
        GrpcServerStart = 18, "grpc_server_start";
        /// Its `transport.(*http2Server).writeStatus`.
        GrpcServerStatus = 19, "grpc_server_status";
        /// Its `transport.(*serverHandlerTransport).writeStatus`: served by net/http.
        GrpcHandlerStatus = 20, "grpc_handler_status";
        /// Its `(*csAttempt).getTransport`, or `(*clientStream).newAttemptLocked`.
        GrpcClientStart = 21, "grpc_client_start";
        /// Its `(*csAttempt).finish`.
        GrpcClientFinish = 22, "grpc_client_finish";
        /// database/sql: where an operation starts.
        SqlStart = 23, "sql_start";
        /// Where it ends.
        SqlEnd = 24, "sql_end";
        /// Clients of Redis: where an operation starts.
        RedisStart = 25, "redis_start";
        /// Where it ends, or a part of it.
        RedisEnd = 26, "redis_end";
        /// fasthttp: in `(*Server).serveConn`, before the handler is called; or fiber's handler.
        FasthttpServerStart = 27, "fasthttp_server_start";
        /// After the response was written; or fiber's `(*App).ReleaseCtx`.
        FasthttpServerFinish = 28, "fasthttp_server_finish";
        /// Where the connection is taken over.
        FasthttpServerHijack = 29, "fasthttp_server_hijack";
        /// What `(*Server).serveConn` defers: the connection is over, perhaps by a panic.
        FasthttpConnClose = 30, "fasthttp_conn_close";
        /// connect: where a handler's connection is given what the call ended with.
        ConnectServerEnd = 31, "connect_server_end";
        /// Where a call ends that was made.
        ConnectClientEnd = 32, "connect_client_end";
        /// In `net/http.(*Transport).roundTrip`, where it says why it refuses a request.
        HttpClientRefused = 33, "http_client_refused";
        /// In it, where a call has got its connection and nothing of it is written yet.
        HttpClientJoin = 34, "http_client_join";
        /// The same in HTTP/2: `(*clientStream).encodeAndWriteHeaders`.
        Http2ClientJoin = 35, "http2_client_join";
        /// That of golang.org/x/net/http2.
        XnetClientJoin = 36, "xnet_client_join";
        /// The same in gRPC: in a closure of `(*http2Client).NewStream`.
        GrpcClientJoin = 37, "grpc_client_join";
    }
}

numbered! {
    /// Why something that was seen was not reported.
    Drop {
        /// The event ring buffer was full.
        RingFull = 0, "ring_full";
        /// Too many requests at once.
        ServerMapFull = 1, "server_map_full";
        /// Too many client calls at once.
        ClientMapFull = 2, "client_map_full";
        /// The end of something whose start came before the probes were in.
        StartUnseen = 3, "start_unseen";
        /// A request whose end was never seen.
        ServerUnfinished = 4, "server_unfinished";
        /// A client call whose end was never seen.
        ClientUnfinished = 5, "client_unfinished";
        /// A request of a protocol that is not followed yet.
        ProtocolUnsupported = 6, "protocol_unsupported";
        /// The ring buffer for starting and ending processes was full.
        LifecycleFull = 7, "lifecycle_full";
        /// The target's memory could not be read.
        ReadFault = 8, "read_fault";
        /// An ancestor goroutine was gone, so that a parent may be missing.
        LineageLost = 9, "lineage_lost";
        /// An inbound traceparent was malformed and ignored.
        TraceparentInvalid = 10, "traceparent_invalid";
        /// A request had more headers than are looked at, so that a traceparent may be missed.
        HeadersUnseen = 11, "headers_unseen";
        /// A program with more processors (GOMAXPROCS) than are looked at, so that parents of work
        /// in goroutines may be missing; counted each time that they are looked up.
        ProcessorsUnseen = 12, "processors_unseen";
        /// A request's headers were in a map of a layout that is not known, so that a traceparent may
        /// be missed.
        MapLayoutUnknown = 13, "map_layout_unknown";
        /// A call without a parent whose context is, or is derived from, one that cannot be followed:
        /// a function, a type that hides its context, or more contexts than are followed.
        ContextUnfollowed = 14, "context_unfollowed";
        /// A call without a parent whose context leads to several requests.
        ContextAmbiguous = 15, "context_ambiguous";
        /// A connection's key could not be read, so that the call at its other end may be missed.
        JoinUnread = 16, "join_unread";
        /// A call could not be noted for the other end of its connection.
        JoinMapFull = 17, "join_map_full";
        /// It belongs to a trace that gotap's own sampling left out.
        SampledOut = 18, "sampled_out";
        /// It belongs to a trace that its caller does not sample.
        Unsampled = 19, "unsampled";
    }
}

numbered! {
    /// What of an operation can fail to be read.
    Unread {
        /// Method of the request or the call.
        Method = 0, "method";
        /// Path of the request, or what a client of gRPC dialled.
        Target = 1, "target";
        /// Whether it is `https`.
        Scheme = 2, "scheme";
        /// Host of the request.
        Host = 3, "host";
        /// The other side's address.
        Peer = 4, "peer";
        /// `User-Agent`.
        UserAgent = 5, "user_agent";
        /// Route of the request.
        Route = 6, "route";
        /// Status or code.
        Status = 7, "status";
        /// Whether there is an error, or which.
        Error = 8, "error";
        /// The error's text.
        Message = 9, "message";
        /// Size of the response.
        Size = 10, "size";
        /// Redirects before a request.
        Resend = 11, "resend";
        /// Text of a statement.
        Statement = 12, "statement";
        /// Name and arguments of a command of Redis.
        Command = 13, "command";
        /// How many statements or commands there are.
        Batch = 14, "batch";
        /// Which database it is.
        Database = 15, "database";
        /// Address that a client of Redis was given.
        Address = 16, "address";
        /// A header of a served request that the user asks for.
        Headers = 17, "headers";
    }
}

numbered! {
    /// What was done with a database.
    SqlOperation {
        /// A query for rows.
        Query = 0, "query";
        /// A statement without rows.
        Exec = 1, "exec";
        /// A statement was prepared.
        Prepare = 2, "prepare";
        /// A query by a statement that was prepared before.
        StmtQuery = 3, "stmt_query";
        /// The same without rows.
        StmtExec = 4, "stmt_exec";
        /// A transaction began.
        Begin = 5, "begin";
        /// It was committed.
        Commit = 6, "commit";
        /// It was rolled back.
        Rollback = 7, "rollback";
        /// Several statements were sent together.
        Batch = 8, "batch";
        /// Rows were copied to a table.
        Copy = 9, "copy";
    }
}

numbered! {
    /// What a site of a Redis client stands for. Some are operations, too.
    RedisSite {
        /// An attempt of a command of go-redis.
        Command = 0, "command";
        /// Its pipelines and transactions, with all their attempts.
        Pipeline = 1, "pipeline";
        /// redigo's `Do`, with what was sent before.
        Do = 2, "do";
        /// go-redis has waited before another attempt.
        Retry = 3, "retry";
        /// redigo got a reply.
        Reply = 4, "reply";
        /// redigo's connection failed.
        Fatal = 5, "fatal";
        /// Commands for a node of a cluster, an attempt of them; redigo's by hand.
        Batch = 6, "batch";
        /// The same between `MULTI` and `EXEC`, which are not counted.
        Transaction = 7, "transaction";
        /// redigo sends what it has, and nobody waits yet.
        Flush = 8, "flush";
        /// redigo got a reply, for which somebody waits by hand.
        Receive = 9, "receive";
        /// redigo's connection is closed.
        Close = 10, "close";
    }
}

numbered! {
    /// What a site of a client of connect stands for.
    CallSite {
        /// A call ended.
        Ended = 0, "ended";
        /// The caller wants no more of a stream, whose end may have been seen.
        Closed = 1, "closed";
    }
}

numbered! {
    /// How the parent of a span was found.
    Parent {
        /// It has none.
        None = 0, "none";
        /// By an inbound `traceparent`.
        Remote = 1, "remote";
        /// By the `context.Context` that it carries.
        Context = 2, "context";
        /// The request that the same goroutine serves.
        Goroutine = 3, "goroutine";
        /// The request served by a goroutine that started this one, at any depth.
        Ancestor = 4, "ancestor";
        /// The span that the program's own `traceparent` names, which the call carries.
        Sent = 5, "sent";
        /// The call at the other end of the connection, by an observed process of this host.
        Connection = 6, "connection";
    }
}

numbered! {
    /// What a request's Content-Type says of the protocol of a call.
    Content {
        /// Nothing, or it is not told.
        Other = 0, "other";
        /// A message alone, `application/…`: Connect's protocol, or no call.
        Message = 1, "message";
        /// A stream of Connect's protocol.
        Connect = 2, "connect";
        /// gRPC.
        Grpc = 3, "grpc";
        /// gRPC-Web.
        GrpcWeb = 4, "grpc_web";
        /// JSON: Connect's protocol, or no call.
        Json = 5, "json";
        /// Protocol buffers as OTLP has them.
        Protobuf = 6, "protobuf";
    }
}

numbered! {
    /// How an operation ended.
    Outcome {
        /// As it should.
        Done = 0, "done";
        /// The handler panicked or its goroutine exited.
        Aborted = 1, "aborted";
        /// The handler took over the connection.
        Hijacked = 2, "hijacked";
        /// With an error.
        Error = 3, "error";
        /// Its context was done before anything was sent.
        CtxDone = 4, "ctx_done";
        /// The handler panicked with `http.ErrAbortHandler`: it gave its answer up.
        GivenUp = 5, "given_up";
        /// The same after the client had left.
        Left = 6, "left";
        /// The client takes the request for none that can be sent.
        Refused = 7, "refused";
    }
}
