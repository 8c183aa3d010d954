// Lists workflows, reads a page and watches it, controls a session, and decodes a refusal: ReadText ADDRESS PAGE

using System.Text;
using Coordinator.Processing.V1;
using Grpc.Core;
using ReadText;

Console.OutputEncoding = new UTF8Encoding(false);
if (args.Length != 2)
{
    await Console.Error.WriteLineAsync("usage: ReadText ADDRESS PAGE").ConfigureAwait(false);
    return 2;
}

try
{
    using var channel = Channels.Open(args[0]);
    await new Tour(new ProcessingService.ProcessingServiceClient(channel)).RunAsync(args[1]).ConfigureAwait(false);
    return 0;
}
catch (RpcException error)
{
    Refusal.Describe(error);
    return 1;
}
