namespace Coordinator.Acceptance.Tests;

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using Coordinator.Client;

/// <summary>One <c>processing-service serve</c> with a store of its own; killed as a machine kills.</summary>
public sealed class CoordinatorProcess : IAsyncDisposable
{
    private const string Serving = "serving on ";
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(180);
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("acceptance-");
    private readonly ConcurrentQueue<string> _log = new();
    private readonly string? _contractVersion;
    private Process? _process;
    private string _listen = "127.0.0.1:0";

    /// <param name="contractVersion">The version that it says its contract has; null for the true one.</param>
    public CoordinatorProcess(string? contractVersion = null) => _contractVersion = contractVersion;

    /// <summary>Where it listens; the same after each start.</summary>
    public string Address => $"http://{_listen}";

    /// <summary>Its process id.</summary>
    public int ProcessId => _process!.Id;

    /// <summary>Variables of its environment, beside those of this process.</summary>
    public IDictionary<string, string> Environment { get; } = new Dictionary<string, string>();

    /// <summary>What it wrote.</summary>
    public string Log => string.Join('\n', _log);

    /// <summary>Starts it, and returns when it serves.</summary>
    public async Task StartAsync()
    {
        var address = new TaskCompletionSource<string>(TaskCreationOptions.RunContinuationsAsynchronously);
        _process = new Process { StartInfo = Command(), EnableRaisingEvents = true };
        _process.OutputDataReceived += (_, line) => Read(line.Data, address);
        _process.ErrorDataReceived += (_, line) => Read(line.Data, address);
        _process.Exited += (_, _) => address.TrySetException(new InvalidOperationException($"the coordinator ended:\n{Log}"));
        _process.Start();
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
        _listen = await address.Task.WaitAsync(Patience);
    }

    /// <summary>kill -9.</summary>
    public async Task KillAsync()
    {
        _process!.Kill(entireProcessTree: true);
        await _process.WaitForExitAsync();
        _process.Dispose();
        _process = null;
    }

    /// <summary>Stops its clock, or lets it go on.</summary>
    public async Task SignalAsync(string name)
    {
        using var kill = Process.Start("kill", [$"-{name}", ProcessId.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
    }

    /// <summary>A client of it.</summary>
    public CoordinatorClient Client(Action<CoordinatorClientOptions>? configure = null)
    {
        var options = new CoordinatorClientOptions { Address = Address };
        configure?.Invoke(options);
        return CoordinatorClient.Create(options);
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
        {
            await KillAsync();
        }
        _folder.Delete(recursive: true);
    }

    private void Read(string? line, TaskCompletionSource<string> address)
    {
        _log.Enqueue(line ?? "");
        if (line?.StartsWith(Serving, StringComparison.Ordinal) == true)
        {
            address.TrySetResult(line[Serving.Length..].Trim());
        }
    }

    private ProcessStartInfo Command()
    {
        var start = new ProcessStartInfo(Checkout.Python)
        {
            WorkingDirectory = _folder.FullName,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        string[] module = _contractVersion is null ? ["-m", "processing_service.cli"] : ["-c", Patched(_contractVersion)];
        string[] flags = ["serve", "--listen", _listen, "--store", "store", "--models", Path.Combine(Checkout.Root, "models")];
        foreach (var argument in module.Concat(flags))
        {
            start.ArgumentList.Add(argument);
        }
        start.Environment["PYTHONPATH"] = $"{Checkout.Root}:{Checkout.Root}/generated/python";
        foreach (var (name, value) in Environment)
        {
            start.Environment[name] = value;
        }
        return start;
    }

    private static string Patched(string version) =>
        "import runpy, instructors.contract as contract\n"
        + $"contract.CONTRACT_VERSION = '{version}'\n"
        + "runpy.run_module('processing_service.cli', run_name='__main__', alter_sys=True)";
}
