namespace Coordinator.Orchestrator.Json;

using System.Text;

/// <summary>UTF-8 that refuses what is none, where the usual one puts a mark in its place.</summary>
internal static class StrictUtf8
{
    /// <summary>Throws <see cref="DecoderFallbackException"/>.</summary>
    public static readonly Encoding Encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);
}
