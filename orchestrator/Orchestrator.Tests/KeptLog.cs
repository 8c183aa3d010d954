namespace Coordinator.Orchestrator.Tests;

using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

/// <summary>One line of a log, by its facts.</summary>
/// <param name="Category">Who wrote it.</param>
/// <param name="Level">How bad it is.</param>
/// <param name="Id">Which event.</param>
/// <param name="Values">The values of its text, by name.</param>
/// <param name="Text">As it is read.</param>
public sealed record KeptLine(string Category, LogLevel Level, EventId Id, IReadOnlyDictionary<string, object?> Values, string Text);

/// <summary>A log that keeps its lines in memory.</summary>
public sealed class KeptLog : ILoggerProvider
{
    private readonly ConcurrentQueue<KeptLine> _lines = new();

    /// <summary>All lines so far, the oldest first.</summary>
    public IReadOnlyList<KeptLine> Lines => [.. _lines];

    public ILogger CreateLogger(string categoryName) => new Writer(categoryName, _lines);

    public void Dispose()
    {
    }

    private sealed class Writer(string category, ConcurrentQueue<KeptLine> lines) : ILogger
    {
        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            var values = (state as IEnumerable<KeyValuePair<string, object?>> ?? []).ToDictionary(value => value.Key, value => value.Value);
            lines.Enqueue(new KeptLine(category, logLevel, eventId, values, formatter(state, exception)));
        }
    }
}
