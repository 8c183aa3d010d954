using Coordinator.Orchestrator.Benchmarks;

// usage: Orchestrator.Benchmarks COORDINATOR_ADDRESS REST_ADDRESS
// Each line of the input is one order, each line of the output its result as JSON:
//   grpc CALLERS SECONDS | rest CALLERS SECONDS | get CALLERS COUNT SESSION | streams COUNT SESSION
await using var orders = new Orders(new Uri(args[0]), new Uri(args[1]));
while (await Console.In.ReadLineAsync() is { } line)
{
    await Console.Out.WriteLineAsync(await orders.DoAsync(line.Split(' ')));
    await Console.Out.FlushAsync();
}
