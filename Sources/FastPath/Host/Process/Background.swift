// One piece of work on a thread of its own while the main thread does another: at start the kernel clears memory for
// rings and frames (some 50 ms of one CPU) while it verifies the BPF programs.

import Glibc

/// Work that was started on another thread, and its outcome.
final class Background<Outcome> {
    private let body: () throws(HostError) -> Outcome
    private var outcome: Result<Outcome, HostError>?
    private var thread = pthread_t()

    /// - Parameter body: touches nothing that the starting thread touches before `wait`.
    init(_ body: @escaping () throws(HostError) -> Outcome) throws(HostError) {
        self.body = body
        let result = pthread_create(
            &thread, nil,
            { context in
                Unmanaged<AnyBackground>.fromOpaque(context!).takeRetainedValue().run()
                return nil
            }, Unmanaged.passRetained(AnyBackground { [self] in outcome = Result(catching: body) }).toOpaque())
        if result != 0 { throw .system("cannot start a thread", result) }
    }

    /// The outcome; call it once.
    func wait() throws(HostError) -> Outcome {
        pthread_join(thread, nil)
        return try outcome!.get()
    }
}

/// What a C function can be handed of a generic class.
private final class AnyBackground {
    let run: () -> Void
    init(_ run: @escaping () -> Void) { self.run = run }
}
