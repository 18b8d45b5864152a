//! The numbered things of the contract, as enums with the names that users see.

/// An enumeration of the contract: its numbers, and the names that users see.
#[macro_export]
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
include!(concat!(env!("OUT_DIR"), "/probes.rs"));

/// A program for uprobe_multi.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Program {
    /// The one for all sites but those of the others.
    Site,
    /// The one for starts of calls: with the rest it would be too much for the verifier.
    Call,
    /// The one for calls that have got their connection, for the same reason.
    Join,
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
        /// Name and arguments of a command.
        Command = 13, "command";
        /// How many statements or commands there are.
        Batch = 14, "batch";
        /// Which database it is.
        Database = 15, "database";
        /// Address that a client was given.
        Address = 16, "address";
        /// A header of a served request that the user asks for.
        Headers = 17, "headers";
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
