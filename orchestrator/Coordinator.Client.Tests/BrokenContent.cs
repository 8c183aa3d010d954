namespace Coordinator.Client.Tests;

/// <summary>Content that is gone behind some bytes, as a file that its owner has closed.</summary>
/// <param name="good">How many bytes there are.</param>
/// <param name="until">When the rest is gone.</param>
public sealed class BrokenContent(int good, Task until) : MemoryStream(new byte[good])
{
    public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
    {
        if (Position < Length)
        {
            return await base.ReadAsync(buffer, cancellationToken);
        }
        await until.WaitAsync(cancellationToken);
        throw new ObjectDisposedException(nameof(BrokenContent));
    }
}
