// Measures the client; each command prints one line of JSON at its end:
//
//     Benchmarks unary bare|client ADDRESS SESSION SECONDS CALLERS   calls of GetProcessingSession by all callers, and their time
//     Benchmarks beside ADDRESS SESSION SECONDS WATCHES              latencies of one caller while so many watches are open
//     Benchmarks watch ADDRESS SESSION                               the sequence numbers of a watch to its end
using System.Globalization;
using System.Text.Json;
using Coordinator.Benchmarks;

object result = args switch
{
    ["unary", var kind, var address, var session, var seconds, var callers] =>
        await Calls.UnaryAsync(kind == "client", address, session, Number(seconds), (int)Number(callers)),
    ["beside", var address, var session, var seconds, var watches] =>
        await Watches.BesideAsync(address, session, Number(seconds), (int)Number(watches)),
    ["watch", var address, var session] => await Watches.FollowAsync(address, session),
    _ => throw new ArgumentException("unary, beside or watch"),
};
Console.WriteLine(JsonSerializer.Serialize(result));

static double Number(string text) => double.Parse(text, CultureInfo.InvariantCulture);
