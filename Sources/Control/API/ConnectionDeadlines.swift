// What one connection may cost: a body that does not come, or an answer that is not taken, ends it. The wait for a
// request's head is Hummingbird's idle timeout. Before: NIO's HTTP decoder. After: Hummingbird.

import NIOCore
import NIOHTTPTypes

/// Limits of a listener.
package enum ListenerLimits {
    /// Connections at once; further ones wait in the kernel's queue.
    package static let connections = 1024
    /// Requests of one process that are answered at once; a further one gets 503.
    package static let requests = 1024
    /// All header fields of a request, in bytes, and their number.
    static let headerBytes = 32 * 1024
    static let headerFields = 100
    /// For the head of a request, from the connection's first moment or the last answer.
    static let headSeconds: Int64 = 30
    /// For the body, from its head.
    static let bodySeconds: Int64 = 20
    /// For the client to take an answer.
    static let answerSeconds: Int64 = 30
}

/// Closes a connection whose client sends or takes too slowly.
final class ConnectionDeadlines: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private var body: Scheduled<Void>?
    private var answer: Scheduled<Void>?

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            body?.cancel()
            body = deadline(ListenerLimits.bodySeconds, context)
        case .body: break
        case .end:
            body?.cancel()
            body = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head:
            answer?.cancel()
            answer = deadline(ListenerLimits.answerSeconds, context)
            context.write(data, promise: promise)
        case .body: context.write(data, promise: promise)
        case .end:
            let taken = promise ?? context.eventLoop.makePromise(of: Void.self)
            let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
            taken.futureResult.whenComplete { _ in bound.value.isTaken() }
            context.write(data, promise: taken)
        }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        body?.cancel()
        answer?.cancel()
    }

    func channelInactive(context: ChannelHandlerContext) {
        body?.cancel()
        answer?.cancel()
        context.fireChannelInactive()
    }

    private func isTaken() {
        answer?.cancel()
        answer = nil
    }

    private func deadline(_ seconds: Int64, _ context: ChannelHandlerContext) -> Scheduled<Void> {
        let channel = context.channel
        return context.eventLoop.scheduleTask(in: .seconds(seconds)) { channel.close(promise: nil) }
    }
}
